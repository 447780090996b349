"""Let torchvision import beside a CPU torch that its compiled operators do not fit.

Import this before anything that might import torchvision (timm, torchmetrics).
Only the Python parts of torchvision work then; the benchmarks need no others.
"""

import torch

# The library object keeps the definitions alive.
LIBRARY = torch.library.Library("torchvision", "DEF")
LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
