"""What all tests share: few threads, so that results and times depend less on the machine."""

import os

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

torch.set_num_threads(2)
