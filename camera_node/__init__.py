"""A RealSense camera behind the topics that the policy reads."""
