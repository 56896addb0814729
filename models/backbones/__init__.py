"""Image encoders (CNN trunks) and the builder that makes one from its name."""

from models.backbones.builder import BackboneName, build_backbone

__all__ = ["BackboneName", "build_backbone"]
