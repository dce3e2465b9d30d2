"""The codec between ROS messages and the library's values: ``encode_x`` makes a message, ``decode_x`` reads one.

Decoding uses the fields' names alone, so that it takes rclpy's messages, those that ``rosbags`` reads from a bag, and
any object with the same fields, and needs no ROS. Encoding makes rclpy's messages, and imports their classes when it is
called. What a message says beyond its standard meaning is in ``motion``, in one table.
"""
