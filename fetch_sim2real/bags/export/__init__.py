"""Recordings as data that other tools read: tables, LeRobot datasets, bags of other formats. Needs no ROS."""
