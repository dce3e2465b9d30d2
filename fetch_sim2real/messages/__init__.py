"""Arrays and numbers out of messages, whoever made them: rclpy's classes or those that ``rosbags`` reads from a bag.

Only the fields' names are used, so nothing here needs ROS.
"""
