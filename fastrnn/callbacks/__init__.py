"""Callbacks: what to do while a model learns; named as in Keras."""

from fastrnn.callbacks.callback import Callback, CallbackList, LambdaCallback
from fastrnn.callbacks.checkpoint import ModelCheckpoint
from fastrnn.callbacks.gradient_flow import GradientFlow
from fastrnn.callbacks.history import CSVLogger, History
from fastrnn.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from fastrnn.callbacks.progress import ProgbarLogger
from fastrnn.callbacks.stopping import EarlyStopping, TerminateOnNaN
from fastrnn.callbacks.tensorboard import TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "GradientFlow",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
