"""Find a backbone of torchvision or timm by its name, for fastai's `vision_learner`."""

from collections.abc import Callable
from difflib import get_close_matches

import timm
from bears import ARCH
from bears.errors import WeightsError
from fastai.vision.learner import create_timm_model, create_vision_model, model_meta
from torch import nn
from torchvision import models

SIZE = 256  # pixels; on the bear photos, 128 pixels give twice as many errors, and more than 256 give no fewer


def find_arch(name: str) -> str | Callable:
    """Return the `arch` argument of `vision_learner` for this name: a torchvision function or a timm name.

    Raises `WeightsError` for an unknown name.
    """
    if name in (names := models.list_models(module=models)):
        arch = models.get_model_builder(name)
        if arch in model_meta:
            return arch
        if not timm.is_model(name):
            return lambda pretrained: arch(weights="DEFAULT" if pretrained else None)
    if timm.is_model(name):
        return name
    similar = ", ".join(get_close_matches(name, dict.fromkeys([*names, *timm.list_models()]))) or f"{ARCH}, resnet18"
    raise WeightsError(f"Neither torchvision nor timm has a backbone {name}. Try one of these: {similar}.")


def input_size(arch: str) -> int:
    """Return the fixed input size of a backbone in pixels, or `SIZE` if the backbone accepts any size."""
    cfg = timm.get_pretrained_cfg(arch) if timm.is_model(arch) else None
    return cfg.input_size[-1] if cfg and cfg.fixed_input_size else SIZE


def create_body(name: str) -> nn.Module:
    """Return the untrained body of the backbone `name`: the layers that `vision_learner` keeps."""
    arch, head = find_arch(name), nn.Identity()
    if isinstance(arch, str):
        return create_timm_model(arch, 1, pretrained=False, custom_head=head)[0][0]
    return create_vision_model(arch, 1, pretrained=False, custom_head=head)[0]
