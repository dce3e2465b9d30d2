"""``fetch-sim2real operate``: a human runs a policy on a robot, step by step, from one terminal."""
