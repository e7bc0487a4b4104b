"""Models built from the layers, and the files and run folders that keep them."""

from fastrnn.models.model import Model
from fastrnn.models.saving import clone_model, load_model, model_from_json, save_model
from fastrnn.models.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
