"""Point-SAM as a ROS 2 node: clouds and clicks in, instances out.

Deliberately thin: converts messages to arrays, has `pointsam_model` answer, and converts the
results back. Nothing here imports torch or CuPy.
"""
