# pointsam_ros on ROS 2 Jazzy (Ubuntu 24.04), with CUDA 12.
#
#   docker build -t pointsam_ros .
#   docker run --rm --gpus all --net host --ipc host pointsam_ros \
#     ros2 launch pointsam_ros segment.launch.py cloud_topic:=/camera/depth/points

FROM nvidia/cuda:12.8.1-runtime-ubuntu24.04 AS cuda

FROM ros:jazzy-ros-base

# CuPy compiles the kernels with its NVRTC; the driver is the host's.
COPY --from=cuda /usr/local/cuda-12.8 /usr/local/cuda-12.8
ENV CUDA_PATH=/usr/local/cuda-12.8 \
    LD_LIBRARY_PATH=/usr/local/cuda-12.8/lib64 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*

# Torch 2.9 carries CUDA 12.8. ROS's messages are built against NumPy 1, which CuPy 14 does not take.
COPY requirements /opt/ws/src/pointsam/requirements
ENV VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH
RUN python3 -m venv --system-site-packages /opt/venv \
    && pip install --no-cache-dir "numpy<2" "torch>=2.9,<2.10" "cupy-cuda12x>=13.6,<14" \
        -r /opt/ws/src/pointsam/requirements/runtime.txt

# What ROS packages package.xml names, but for the tools of the launch arguments rviz and bag.
COPY package.xml /opt/ws/src/pointsam/package.xml
COPY pointsam_interfaces /opt/ws/src/pointsam/pointsam_interfaces
RUN apt-get update && rosdep update --rosdistro jazzy \
    && rosdep install -y --rosdistro jazzy --from-paths /opt/ws/src/pointsam \
        /opt/ws/src/pointsam/pointsam_interfaces --ignore-src \
        --dependency-types exec --dependency-types build --dependency-types buildtool \
        --skip-keys "rviz2 ros2bag rosbag2_storage_default_plugins" \
    && rm -rf /var/lib/apt/lists/*

COPY . /opt/ws/src/pointsam
RUN cd /opt/ws && . /opt/ros/jazzy/setup.sh \
    && python -m colcon build --base-paths src/pointsam src/pointsam/pointsam_interfaces

# Shared memory is only shared between processes of one user: give --user where yours is not 1000.
USER ubuntu
# What Python heeds from its first moment on; as process 1 it would ignore SIGTERM until it is up.
STOPSIGNAL SIGINT
WORKDIR /tmp
ENTRYPOINT ["bash", "-c", ". /opt/ws/install/setup.bash && exec \"$0\" \"$@\""]
CMD ["ros2", "launch", "pointsam_ros", "segment.launch.py", "cloud_topic:=/camera/depth/points"]
