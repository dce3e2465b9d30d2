"""The ROS 1 side of a Fetch behind rosbridge: topics, messages, protocol."""
