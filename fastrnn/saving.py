"""Names that programs for Keras import from `keras.saving`."""

from fastrnn.layers.serialization import register_keras_serializable
from fastrnn.models import load_model, save_model

__all__ = ["load_model", "register_keras_serializable", "save_model"]
