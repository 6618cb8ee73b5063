"""Point-SAM as a ROS 2 node: clouds and clicks in, instances out.

Thin on purpose: messages become arrays, `pointsam_model` answers, arrays become messages. Nothing
here imports torch or CuPy.
"""
