"""Losses, gradients and penalties of one triple (model specification 2.1–2.3), per coordinate.

A triple is (user u, positive i, negative j), its score difference x = x̂_ui − x̂_uj. Training
*ascends*: P ← P + rate · (slope · ∂x/∂P − decay · P), every right-hand side from old values.
Types follow the arguments: float32 in kernels, float64 in the gradient tests.
"""

import math

ZERO, ONE = 0, 1  # a target binds its own: beside a float32, CUDA would take these for float64

__all__ = [
    "bias_difference",
    "column_share",
    "factor_difference",
    "hinge_loss",
    "hinge_slope",
    "item_gradient",
    "logistic_loss",
    "logistic_slope",
    "stepped",
    "user_gradient",
]


def logistic_slope(x):
    """d ln σ(x)/dx = σ(−x), without overflow for any finite x."""
    e = math.exp(-abs(x))
    return (e if x >= ZERO else ONE) / (ONE + e)


def logistic_loss(x):
    """−ln σ(x), without overflow."""
    return math.log1p(math.exp(-abs(x))) + (ZERO if x >= ZERO else -x)


def hinge_slope(x, margin):
    """1 where the pair violates the margin: x ≤ 0 at margin 0, x < margin above it."""
    if margin > ZERO:
        return ONE if x < margin else ZERO
    return ONE if x <= ZERO else ZERO


def hinge_loss(x, margin):
    """max(0, margin − x)."""
    return max(margin - x, ZERO)


def bias_difference(bias_i, bias_j):
    """Part of x from the item biases; its gradient is +1 for i and −1 for j."""
    return bias_i - bias_j


def factor_difference(user, item_i, item_j):
    """Part of x from one latent coordinate: γ_u (γ_i − γ_j)."""
    return user * (item_i - item_j)


def user_gradient(item_i, item_j):
    """∂x/∂γ_u of one coordinate; with projected features E f in place of γ also ∂x/∂θ_u."""
    return item_i - item_j


def item_gradient(user, sign):
    """∂x/∂γ_i (sign +1) or ∂x/∂γ_j (sign −1) of one coordinate."""
    return sign * user


def column_share(difference):
    """Δ_c², by which λ_visual is multiplied in column c: it penalises what P adds to x, ½ λ_visual (Δ_c P)².

    Of one-hots that is 1 where the two items differ, else 0. A column in other units, with P in the inverse
    ones, has the same penalty.
    """
    return difference * difference


def stepped(value, slope, gradient, rate, decay):
    """One ascent step of one coordinate with its penalty ½ · decay · value²."""
    return value + rate * (slope * gradient - decay * value)
