"""An AWS for tests: moto's server, whose Batch jobs and ECS tasks really run, as containers or as processes.

``emulator.py`` starts and steers it: the fixtures ``aws`` and ``aws_docker`` of ``fixtures.py`` give one a
session. ``python -m support.aws`` is the server; ``words.py`` holds what AWS says, and who says that it does.

Not emulated: rights (IAM), secrets and EFS in containers, networks of their own (awsvpc), the order and
health of several containers, GPUs beyond whether a queue has any, scheduling policies, EKS, and how long
AWS takes.
"""
