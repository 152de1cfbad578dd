"""The scalar functions compiled for CUDA, with float32 in place of their whole numbers."""

import numpy as np

from ivbpr_numba.kernels.compiling import compile_scalars
from ivbpr_numba.kernels.cuda.target import device
from ivbpr_numba.kernels.scalar import bpr, lists, random

ZERO, ONE = np.float32(0), np.float32(1)
_COMPILED = compile_scalars([random, lists, bpr], device, ZERO=ZERO, ONE=ONE)

absorb = _COMPILED["absorb"]
stream = _COMPILED["stream"]
bounded = _COMPILED["bounded"]
unit24 = _COMPILED["unit24"]
contains = _COMPILED["contains"]
keyed_shuffle = _COMPILED["keyed_shuffle"]
nth_admissible = _COMPILED["nth_admissible"]
logistic_slope = _COMPILED["logistic_slope"]
logistic_loss = _COMPILED["logistic_loss"]
hinge_slope = _COMPILED["hinge_slope"]
hinge_loss = _COMPILED["hinge_loss"]
bias_difference = _COMPILED["bias_difference"]
column_share = _COMPILED["column_share"]
factor_difference = _COMPILED["factor_difference"]
user_gradient = _COMPILED["user_gradient"]
item_gradient = _COMPILED["item_gradient"]
stepped = _COMPILED["stepped"]
