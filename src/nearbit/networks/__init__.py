"""Networks: backbones, heads and the preprocessing that belongs to them."""

from nearbit.encoding.preprocessing import Pixels, Preprocessing
from nearbit.networks.backbones import BUILT_IN, Backbone, BackboneSpec, make_backbone, rebuild_backbone
from nearbit.networks.head_kinds import HEADS, HeadKind, HeadSizes, head_kind
from nearbit.networks.heads import ExpectedCenter, HashNetwork, Head
from nearbit.networks.memory_head import refresh_memory
from nearbit.networks.resnet import ResNet
from nearbit.networks.weights import load_weights, read_safetensors

__all__ = [
    "BUILT_IN",
    "HEADS",
    "Backbone",
    "BackboneSpec",
    "ExpectedCenter",
    "HashNetwork",
    "Head",
    "HeadKind",
    "HeadSizes",
    "Pixels",
    "Preprocessing",
    "ResNet",
    "head_kind",
    "load_weights",
    "make_backbone",
    "read_safetensors",
    "rebuild_backbone",
    "refresh_memory",
]
