"""The slow, obvious reference: every rule of the models written from its equation.

Plain Python and NumPy, nothing imported from the package, no cleverness: what the compiled kernels do must
agree with this file. Everything runs in the dtype of the arrays it is given (float64 unless said otherwise).

Conventions
-----------
params : dict of arrays, named as in the model file: item_bias (I), user_factors (U, K), item_factors (I, K);
    visual models add user_visual (U, D), embedding (D, F), visual_bias (F); models in time add weight (N, D),
    drift (N, D, F), bias_weight (N, F), bias_drift (N, F); with item drift item_bias_drift (N, I), which then
    stands *in place of* item_bias, and category_bias (N, C).
f : (I, F), the features after shift and multiplier.
lists : for each user the ascending item rows of the training pairs, P_u.
epoch : index t of the epoch in which both items of a triple are scored.
category : (I,) index of each item's sub-category, -1 where unknown; only for item drift.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

# --- random numbers: pure functions of their words ---------------------------------------------------------

USER, POS, NEG, ORDER, SEG, SPLIT, RAND, INIT, WORLD, SAMPLE, FOLD, CLASS, GROW, MEMBER, PART = range(1, 16)
MASK = 2**64 - 1


def mix64(*words):
    """Mix any number of words into 64 bits: h <- finalise(h + word + golden ratio), from h = 0."""
    h = 0
    for word in words:
        z = (h + int(word) + 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        h = z ^ (z >> 31)
    return h


def bounded(x, n):
    """Map 64 random bits to 0..n-1 by the upper half of x (n < 2^31)."""
    return ((x >> 32) * n) >> 32


def keyed_shuffle(n, key):
    """Permutation of 0..n-1 by Fisher and Yates, from the last place down to the second."""
    p = list(range(n))
    for r in range(n - 1, 0, -1):
        s = bounded(mix64(key, r), r + 1)
        p[r], p[s] = p[s], p[r]
    return p


def random_score(seed, u, i):
    """Score of the RAND model: the top 24 bits as a fraction."""
    return (mix64(seed, RAND, u, i) >> 40) * 2.0**-24


# --- sampling ----------------------------------------------------------------------------------------------


def eligible_users(lists, n_items):
    """Users with 0 < |P_u| < |I|, in index order."""
    return [u for u, items in enumerate(lists) if 0 < len(items) < n_items]


def draws_per_user(lists, n_items, seed, t, sampling="users", everybody=None):
    """n_u(t): how many triples each user gets in iteration t; some of the users get their share of all."""
    eligible = eligible_users(lists, n_items)
    if sampling == "interactions":
        return {u: len(lists[u]) for u in eligible}
    assert sampling == "users"
    n_pairs = sum(len(lists[u]) for u in eligible)
    if everybody is not None:
        all_eligible = eligible_users(everybody, n_items)
        n_pairs = round(sum(len(everybody[u]) for u in all_eligible) * len(eligible) / len(all_eligible))
    return Counter(eligible[bounded(mix64(seed, USER, t, m), len(eligible))] for m in range(n_pairs))


def admissible_weights(lists, n_items, u, negatives, everybody=None):
    """Weight of every item as a negative of u: 0 for P_u, else 1, or its count for "popularity"."""
    counts = training_counts(everybody or lists, n_items)
    weights = {
        "uniform": np.ones(n_items, dtype=np.int64),
        "trained": (counts > 0).astype(np.int64),
        "popularity": counts,
    }[negatives].copy()
    weights[list(lists[u])] = 0
    return weights


def users_without_negative(lists, n_items, negatives, everybody=None):
    """Eligible users whose set of negatives is empty; they draw from all items instead."""
    if negatives == "uniform":
        return []
    trained = {i for items in everybody or lists for i in items}
    return [u for u in eligible_users(lists, n_items) if trained <= set(lists[u])]


def draw_iteration(lists, n_items, seed, t, negatives="uniform", sampling="users", everybody=None):
    """Triples (u, i, j) of iteration t (counted from 1) in the order in which they are applied.

    Where the lists are those of some users, `everybody` has all.
    """
    eligible = eligible_users(lists, n_items)
    n_draws = draws_per_user(lists, n_items, seed, t, sampling, everybody)
    candidates = {
        "uniform": list(range(n_items)),
        "trained": sorted({i for items in everybody or lists for i in items}),
        "popularity": [i for items in lists for i in items],
    }
    no_negative = set(users_without_negative(lists, n_items, negatives, everybody))
    triples = []
    for place in keyed_shuffle(len(eligible), mix64(seed, ORDER, t)):
        u = eligible[place]
        law = "uniform" if u in no_negative else negatives
        for k in range(n_draws[u]):
            i = draw_positive(lists[u], seed, t, u, k)
            j = draw_negative(lists, n_items, candidates[law], law, seed, t, u, k, everybody=everybody)
            triples.append((u, i, j))
    return triples


def draw_positive(items, seed, t, u, k):
    """k-th positive of u: a new order of P_u in every round, so none repeats before all were used."""
    turn, place = divmod(k, len(items))
    return items[keyed_shuffle(len(items), mix64(seed, POS, t, u, turn))[place]]


def draw_negative(lists, n_items, candidates, negatives, seed, t, u, k, attempts=64, everybody=None):
    """First candidate not in P_u; after `attempts` rejections one draw over the admissible items alone."""
    positives = set(lists[u])
    for a in range(attempts):
        j = candidates[bounded(mix64(seed, NEG, t, u, k, a), len(candidates))]
        if j not in positives:
            return j
    weights = admissible_weights(lists, n_items, u, negatives, everybody)
    place = bounded(mix64(seed, NEG, t, u, k, attempts), int(weights.sum()))
    return int(np.searchsorted(np.cumsum(weights), place, side="right"))


def fold_triples(likes, lists, n_items, seed, negatives, n_triples):
    """Triples (i, j) of a new shopper: his likes in turn, each as often, against drawn negatives."""
    likes = sorted(likes)
    if not 0 < len(likes) < n_items:
        return []
    trained = sorted({i for items in lists for i in items})
    law = negatives if set(trained) - set(likes) else "uniform"
    pool = {
        "uniform": list(range(n_items)),
        "trained": trained,
        "popularity": [i for items in lists for i in items],
    }[law]
    triples = []
    for n in range(len(likes) * math.ceil(n_triples / len(likes))):
        drawn = (pool[bounded(mix64(seed, FOLD, *likes, n, a), len(pool))] for a in range(64))
        j = next((j for j in drawn if j not in likes), None)
        if j is None:
            left = [j for j in sorted(pool) if j not in likes]
            j = left[bounded(mix64(seed, FOLD, *likes, n, 64), len(left))]
        triples.append((likes[n % len(likes)], j))
    return triples


# --- rounds: the order of large data ------------------------------------------------------------------------

CLASSES, GROUP, TOGETHER = 8, 1024, 4


def candidates_by_class(lists, n_items, seed, t, negatives="uniform"):
    """What each class of iteration t draws its negatives from, and the class of every item in the pool."""
    pool = list(range(n_items))
    if negatives != "uniform":
        pool = sorted({i for items in lists for i in items})
    p = keyed_shuffle(len(pool), mix64(seed, CLASS, t))
    bounds = [c * len(pool) // CLASSES for c in range(CLASSES + 1)]
    members = [[pool[n] for n in p[bounds[c] : bounds[c + 1]]] for c in range(CLASSES)]
    class_of = {i: c for c, items in enumerate(members) for i in items}
    if negatives == "popularity":
        pairs = [i for items in lists for i in items]
        members = [[i for i in pairs if class_of[i] == c] for c in range(CLASSES)]
    return members, class_of


def draw_rounds(lists, n_items, seed, t, negatives="uniform", sampling="users"):
    """Triples of iteration t: of every round, in order, a list for each chunk of users, in order as well."""
    eligible = eligible_users(lists, n_items)
    n_draws = draws_per_user(lists, n_items, seed, t, sampling)
    members, class_of = candidates_by_class(lists, n_items, seed, t, negatives)
    visits = [eligible[place] for place in keyed_shuffle(len(eligible), mix64(seed, ORDER, t))]
    rounds = [[[] for _ in range(CLASSES)] for _ in range(CLASSES)]
    for chunk in range(CLASSES):
        own = visits[chunk * len(visits) // CLASSES : (chunk + 1) * len(visits) // CLASSES]
        for group in (own[g : g + GROUP] for g in range(0, len(own), GROUP)):
            for begin in range(0, max(n_draws[u] for u in group), TOGETHER):
                for u in group:
                    for k in range(begin, min(begin + TOGETHER, n_draws[u])):
                        turn, place = divmod(k, len(lists[u]))
                        p = keyed_shuffle(len(lists[u]), mix64(seed, POS, t, u, turn))
                        i = lists[u][p[-1 - place]]
                        j = negative_of_class(lists[u], members[class_of[i]], seed, t, u, k)
                        if j is not None:
                            rounds[(class_of[i] - chunk) % CLASSES][chunk].append((u, i, j))
    return rounds


def negative_of_class(items, members, seed, t, u, k, attempts=64):
    """First candidate not in P_u; after `attempts` one of the admissible ones, None if there is none."""
    for a in range(attempts):
        j = members[bounded(mix64(seed, NEG, t, u, 128 * k + a), len(members))]
        if j not in items:
            return j
    left = [j for j in members if j not in items]
    return left[bounded(mix64(seed, NEG, t, u, 128 * k + attempts), len(left))] if left else None


# --- scores and losses -------------------------------------------------------------------------------------


def sigmoid(x):
    """1 / (1 + e^-x) without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def log_sigmoid(x):
    """ln sigma(x) without overflow."""
    return -math.log1p(math.exp(-x)) if x >= 0 else x - math.log1p(math.exp(x))


def visual_vector(params, vector, epoch=None):
    """What theta_u is multiplied with: E f, in time (E f) * w(t) + dE(t) f. Shape (D,)."""
    projected = params["embedding"] @ vector
    if "weight" in params:
        return projected * params["weight"][epoch] + params["drift"][epoch] @ vector
    return projected


def visual_bias(params, epoch=None):
    """beta, in time beta * b(t) + dbeta(t). Shape (F,)."""
    if "weight" in params:
        return params["visual_bias"] * params["bias_weight"][epoch] + params["bias_drift"][epoch]
    return params["visual_bias"]


def item_bias(params, i, epoch=None, category=None):
    """beta_i; with item drift beta_i(t) + beta_c(i)(t), the latter only where the category is known."""
    if "item_bias_drift" not in params:
        return params["item_bias"][i]
    bias = params["item_bias_drift"][epoch, i]
    return bias + params["category_bias"][epoch, category[i]] if category[i] >= 0 else bias


def score(params, u, i, f=None, epoch=None, category=None):
    """Score x_ui of MF, VBPR, TVBPR or TVBPR with item drift: whichever the parameters belong to."""
    x = item_bias(params, i, epoch, category) + params["user_factors"][u] @ params["item_factors"][i]
    if "embedding" in params:
        x += visual_bias(params, epoch) @ f[i] + params["user_visual"][u] @ visual_vector(params, f[i], epoch)
    return x


def ensemble_score(members, u, i, f=None, epoch=None, category=None):
    """1/S Σ_s x̂ˢ_ui over the params of the members."""
    return sum(score(params, u, i, f, epoch, category) for params in members) / len(members)


def member_seeds(seed, size):
    """The first member has the seed of the model, the others the upper 63 bits of a hash."""
    return [seed, *(mix64(seed, MEMBER, m) >> 1 for m in range(1, size))]


def scores(params, u, f=None, epoch=None, category=None):
    """Scores of all items for one user, shape (I,)."""
    n_items = len(params["item_factors"])
    return np.array([score(params, u, i, f, epoch, category) for i in range(n_items)])


def difference(params, u, i, j, f=None, epoch=None, category=None):
    """x_uij, from Delta = f_i - f_j as the gradients see it."""
    x = item_bias(params, i, epoch, category) - item_bias(params, j, epoch, category)
    x += params["user_factors"][u] @ (params["item_factors"][i] - params["item_factors"][j])
    if "embedding" in params:
        delta = f[i] - f[j]
        x += visual_bias(params, epoch) @ delta + params["user_visual"][u] @ visual_vector(
            params, delta, epoch
        )
    return x


@dataclass(frozen=True)
class Rule:
    """How one triple moves the parameters: rate, loss ("bpr" or "hinge"), penalties.

    lambda_theta acts on gamma_u, gamma_i, theta_u and by a tenth on gamma_j; lambda_visual on E, beta, or in
    time on w, b, dE, dbeta (columns with Delta_c != 0 only); lambda_bias on item and category biases.
    reg_scope "user_visual" keeps lambda_theta on theta_u alone. E, beta, w, b, dE and dbeta move by
    visual_rate times the rate.
    """

    learning_rate: float = 0.05
    visual_rate: float = 1.0
    lambda_theta: float = 0.0
    lambda_visual: float = 0.0
    lambda_bias: float = 0.0
    reg_scope: str = "all"
    loss: str = "bpr"
    margin: float = 0.0

    @property
    def visual_step(self):
        """The rate of E and beta, in time of w, b, dE and dbeta."""
        return self.learning_rate * self.visual_rate

    @property
    def lambda_factors(self):
        """What lambda_theta means for gamma."""
        return {"all": self.lambda_theta, "user_visual": 0.0}[self.reg_scope]

    def gain(self, x):
        """The loss to maximise: ln sigma(x), or minus the hinge max(0, margin - x)."""
        return {"bpr": log_sigmoid, "hinge": lambda x: -max(0.0, self.margin - x)}[self.loss](x)

    def slope(self, x):
        """d, the derivative of the gain: sigma(-x), or 1 where the pair is (margin 0: not above) mis-ordered."""
        if self.loss == "bpr":
            return sigmoid(-x)
        return float(x <= 0 if self.margin == 0 else x < self.margin)


# --- objective and gradient of one triple ------------------------------------------------------------------


def objective(params, u, i, j, rule, f=None, epoch=None, category=None):
    """Gain minus penalty of one triple: half of lambda P^2 for every parameter that takes part.

    Of a parameter of one feature it is half of lambda_visual (Delta_c P)^2.
    """
    p = params
    factors, bias, visual = rule.lambda_factors, rule.lambda_bias, rule.lambda_visual
    penalty = factors * (p["user_factors"][u] @ p["user_factors"][u])
    penalty += factors * (p["item_factors"][i] @ p["item_factors"][i])
    penalty += factors / 10 * (p["item_factors"][j] @ p["item_factors"][j])
    for item in (i, j):
        if "item_bias_drift" in p:
            penalty += bias * p["item_bias_drift"][epoch, item] ** 2
            if category[item] >= 0:
                penalty += bias * p["category_bias"][epoch, category[item]] ** 2
        else:
            penalty += bias * p["item_bias"][item] ** 2
    if "embedding" in p:
        penalty += rule.lambda_theta * (p["user_visual"][u] @ p["user_visual"][u])
        delta = f[i] - f[j]
        if "weight" in p:
            penalty += visual * (p["weight"][epoch] ** 2).sum()
            penalty += visual * ((p["drift"][epoch] * delta) ** 2).sum()
            penalty += visual * ((p["bias_weight"][epoch] * delta) ** 2).sum()
            penalty += visual * ((p["bias_drift"][epoch] * delta) ** 2).sum()
        else:
            penalty += visual * ((p["embedding"] * delta) ** 2).sum()
            penalty += visual * ((p["visual_bias"] * delta) ** 2).sum()
    return rule.gain(difference(p, u, i, j, f, epoch, category)) - penalty / 2


def gradient(params, u, i, j, rule, f=None, epoch=None, category=None):
    """Gradient of `objective` by every parameter, in arrays of the parameters' shapes."""
    p = params
    g = {name: np.zeros_like(value) for name, value in p.items()}
    d = rule.slope(difference(p, u, i, j, f, epoch, category))
    factors, bias, visual = rule.lambda_factors, rule.lambda_bias, rule.lambda_visual
    gamma_u, gamma_i, gamma_j = p["user_factors"][u], p["item_factors"][i], p["item_factors"][j]
    g["user_factors"][u] = d * (gamma_i - gamma_j) - factors * gamma_u
    g["item_factors"][i] = d * gamma_u - factors * gamma_i
    g["item_factors"][j] = -d * gamma_u - factors / 10 * gamma_j
    for item, sign in ((i, 1), (j, -1)):
        if "item_bias_drift" in p:
            g["item_bias_drift"][epoch, item] = sign * d - bias * p["item_bias_drift"][epoch, item]
            if category[item] >= 0:
                c = category[item]  # equal categories: the signs cancel, the penalty counts twice
                g["category_bias"][epoch, c] += sign * d - bias * p["category_bias"][epoch, c]
        else:
            g["item_bias"][item] = sign * d - bias * p["item_bias"][item]
    if "embedding" not in p:
        return g
    delta = f[i] - f[j]
    share = delta**2
    theta, e_matrix = p["user_visual"][u], p["embedding"]
    g["user_visual"][u] = d * visual_vector(p, delta, epoch) - rule.lambda_theta * theta
    if "weight" not in p:
        g["embedding"] = d * np.outer(theta, delta) - visual * e_matrix * share
        g["visual_bias"] = d * delta - visual * p["visual_bias"] * share
        return g
    w, b, beta = p["weight"][epoch], p["bias_weight"][epoch], p["visual_bias"]
    g["embedding"] = d * np.outer(theta * w, delta)
    g["visual_bias"] = d * b * delta
    g["weight"][epoch] = d * theta * (e_matrix @ delta) - visual * w
    g["drift"][epoch] = d * np.outer(theta, delta) - visual * p["drift"][epoch] * share
    g["bias_weight"][epoch] = d * beta * delta - visual * b * share
    g["bias_drift"][epoch] = d * delta - visual * p["bias_drift"][epoch] * share
    return g


# --- stochastic gradient ascent ----------------------------------------------------------------------------


def copy_params(params, dtype=None):
    """A copy of the parameters, if asked in another dtype."""
    return {name: np.array(value, dtype=dtype or value.dtype) for name, value in params.items()}


def step_non_visual(params, u, i, j, d, rule, epoch=None, category=None):
    """Move item biases and gamma by one triple, all from the old values, in place."""
    p, eta, factors, bias = params, rule.learning_rate, rule.lambda_factors, rule.lambda_bias
    gamma_u, gamma_i, gamma_j = (
        p["user_factors"][u].copy(),
        p["item_factors"][i].copy(),
        p["item_factors"][j].copy(),
    )
    p["user_factors"][u] += eta * (d * (gamma_i - gamma_j) - factors * gamma_u)
    p["item_factors"][i] += eta * (d * gamma_u - factors * gamma_i)
    p["item_factors"][j] += eta * (-d * gamma_u - factors / 10 * gamma_j)
    if "item_bias_drift" not in p:
        p["item_bias"][i] += eta * (d - bias * p["item_bias"][i])
        p["item_bias"][j] += eta * (-d - bias * p["item_bias"][j])
        return
    own = p["item_bias_drift"][epoch]
    own[i] += eta * (d - bias * own[i])
    own[j] += eta * (-d - bias * own[j])
    shared, old = p["category_bias"][epoch], p["category_bias"][epoch].copy()
    for item, sign in ((i, 1), (j, -1)):
        if category[item] >= 0:
            shared[category[item]] += eta * (sign * d - bias * old[category[item]])


def sgd_mf(params, triples, rule):
    """Apply the triples one after the other to a factor model; returns new parameters."""
    p = copy_params(params)
    for u, i, j in triples:
        step_non_visual(p, u, i, j, rule.slope(difference(p, u, i, j)), rule)
    return p


def sgd_visual_block(params, f, triples, rule):
    """One block of VBPR triples; returns new parameters.

    E and beta stand still while the triples move item biases, gamma and theta_u one after the other. Then
    E_c <- E_c (1 - eta lambda_visual)^{m_c} + eta sum_b d_b theta_b Delta_bc with theta_b as read before its
    own update and m_c = sum_b Delta_bc^2, of one-hots the number of triples that differ there; beta likewise.
    """
    p = copy_params(params)
    eta = rule.learning_rate
    u_sum, v_sum = np.zeros_like(p["embedding"]), np.zeros_like(p["visual_bias"])
    m = np.zeros(len(v_sum))
    for u, i, j in triples:
        delta = f[i] - f[j]
        theta = p["user_visual"][u].copy()
        d = rule.slope(difference(p, u, i, j, f))
        step_non_visual(p, u, i, j, d, rule)
        p["user_visual"][u] += eta * (d * (p["embedding"] @ delta) - rule.lambda_theta * theta)
        u_sum += d * np.outer(theta, delta)
        v_sum += d * delta
        m += delta.astype(np.float64) ** 2
    decay = column_decay(rule, m, v_sum.dtype)
    step = rule.visual_step
    p["embedding"] = p["embedding"] * decay + step * u_sum
    p["visual_bias"] = p["visual_bias"] * decay + step * v_sum
    return p


def column_decay(rule, m, dtype):
    """(1 - eta_v lambda_visual)^{m_c} for every column, eta_v the rate of E; never negative."""
    return (max(1 - rule.visual_step * rule.lambda_visual, 0.0) ** m).astype(dtype)


def sgd_visual(params, f, triples, rule, block=1):
    """Apply the triples to VBPR in blocks of `block` consecutive ones; the last may be shorter."""
    for start in range(0, len(triples), block):
        params = sgd_visual_block(params, f, triples[start : start + block], rule)
    return params


def blocks_in_time(triples, epochs, block):
    """Cut triples into blocks of one epoch: list of (epoch, triples).

    Within each run of 64 * block consecutive triples they are sorted stably by epoch.
    """
    cut = []
    for start in range(0, len(triples), 64 * block):
        run = list(zip(epochs, triples))[start : start + 64 * block]
        for epoch in sorted({e for e, _ in run}):
            same = [triple for e, triple in run if e == epoch]
            cut += [(epoch, same[k : k + block]) for k in range(0, len(same), block)]
    return cut


def sgd_temporal_block(params, f, triples, epoch, rule, category=None):
    """One block of TVBPR triples of one epoch; returns new parameters.

    Frozen at its start: E, beta and the epoch's w, b, dE, dbeta. They move at its end, all from frozen values,
    by U = sum_b d_b theta_b Delta_b^T and v = sum_b d_b Delta_b.
    """
    p = copy_params(params)
    eta = rule.learning_rate
    u_sum, v_sum = np.zeros_like(p["embedding"]), np.zeros_like(p["visual_bias"])
    m = np.zeros(len(v_sum))
    for u, i, j in triples:
        delta = f[i] - f[j]
        theta = p["user_visual"][u].copy()
        d = rule.slope(difference(p, u, i, j, f, epoch, category))
        step_non_visual(p, u, i, j, d, rule, epoch, category)
        p["user_visual"][u] += eta * (d * visual_vector(p, delta, epoch) - rule.lambda_theta * theta)
        u_sum += d * np.outer(theta, delta)
        v_sum += d * delta
        m += delta.astype(np.float64) ** 2
    decay = column_decay(rule, m, v_sum.dtype)
    e_matrix, beta = p["embedding"].copy(), p["visual_bias"].copy()
    w, b = p["weight"][epoch].copy(), p["bias_weight"][epoch].copy()
    step = rule.visual_step
    p["embedding"] += step * w[:, None] * u_sum
    p["drift"][epoch] = decay * p["drift"][epoch] + step * u_sum
    kept = max(1 - step * rule.lambda_visual, 0.0)
    p["weight"][epoch] = kept ** len(triples) * w + step * (e_matrix * u_sum).sum(1)
    p["visual_bias"] += step * b * v_sum
    p["bias_weight"][epoch] = decay * b + step * beta * v_sum
    p["bias_drift"][epoch] = decay * p["bias_drift"][epoch] + step * v_sum
    return p


def sgd_temporal(params, f, triples, epochs, rule, block=1, category=None):
    """Apply the triples to TVBPR in blocks in time; `epochs` names each triple's epoch."""
    for epoch, same in blocks_in_time(triples, epochs, block):
        params = sgd_temporal_block(params, f, same, epoch, rule, category)
    return params


def users_of_parts(lists, n_items, parts):
    """Users of each part: those who have triples are dealt out one by one, then the others."""
    eligible = eligible_users(lists, n_items)
    others = [u for u in range(len(lists)) if u not in eligible]
    return [sorted(eligible[p::parts] + others[p::parts]) for p in range(parts)]


def joint_spread(f):
    """(C^2)_kk / C_kk of the covariance C of the columns over the items; 0 where a column is constant."""
    c = np.atleast_2d(np.cov(np.asarray(f, dtype=np.float64).T, bias=True))
    return np.array([row @ row / row[k] if row[k] > 0 else 0.0 for k, row in enumerate(c)])


def pulls(params, triples, epochs, rule, f=None, category=None):
    """s c of every number of the item side after a part's triples: how far they may have pulled it.

    0.02 and 0.1 stand for the curvature of the loss by items and by columns of features.
    """
    p, eta, n_items = params, rule.learning_rate, len(params["item_factors"])
    touches = np.bincount([item for _, i, j in triples for item in (i, j)], minlength=n_items)
    length = (p["user_factors"] ** 2).sum(1).mean()
    found = {
        "item_factors": touches[:, None]
        * eta
        * (0.02 * length + rule.lambda_factors)
        * np.ones(p["item_factors"].shape),
        "item_bias": touches * eta * (0.02 + rule.lambda_bias),
    }
    if f is None:
        return found
    per_triple = 2 * rule.visual_step * joint_spread(f)
    of_e = per_triple * (0.1 * (p["user_visual"] ** 2).sum(1).mean() + rule.lambda_visual)
    of_beta = per_triple * (0.1 + rule.lambda_visual)
    found["embedding"] = len(triples) * np.ones(p["embedding"].shape) * of_e
    found["visual_bias"] = len(triples) * of_beta
    if "weight" not in p:
        return found
    d = len(p["embedding"])
    for name in ("weight", "drift", "bias_weight", "bias_drift"):
        found[name] = np.zeros(p[name].shape)
    for epoch in range(len(p["weight"])):
        n = epochs.count(epoch)
        found["weight"][epoch] = n * of_e.sum()
        found["drift"][epoch] = n * np.ones((d, 1)) * of_e
        found["bias_weight"][epoch] = found["bias_drift"][epoch] = n * of_beta
    if "item_bias_drift" in p:
        found["item_bias"] = np.zeros(n_items)
        for name in ("item_bias_drift", "category_bias"):
            found[name] = np.zeros(p[name].shape)
        for (_, i, j), epoch in zip(triples, epochs):
            for item in (i, j):
                found["item_bias_drift"][epoch, item] += eta * (0.02 + rule.lambda_bias)
                if category[item] >= 0:
                    found["category_bias"][epoch, category[item]] += eta * (0.02 + rule.lambda_bias)
    return found


def joined_moves(moves, exponents):
    """Sum of the parts' moves of one number, times (1 - exp(-sum_p x_p)) / sum_p (1 - exp(-x_p))."""
    one_by_one = sum(1 - math.exp(-x) for x in exponents)
    return sum(moves) * ((1 - math.exp(-sum(exponents))) / one_by_one if one_by_one > 0 else 1.0)


def iteration_in_parts(
    params, lists, seed, t, parts, rule, law, f=None, block=1, epoch_of=None, category=None
):
    """Iteration t of a fit whose users are dealt to parts; returns new parameters.

    law has negatives and sampling; epoch_of gives the epoch of a purchase (u, i).
    """
    n_items = len(params["item_factors"])
    own = [name for name in ("user_factors", "user_visual") if name in params]
    after, learned = copy_params(params), []
    for p, users in enumerate(users_of_parts(lists, n_items, parts)):
        part = copy_params(params) | {name: params[name][users] for name in own}
        part_lists = [lists[u] for u in users]
        part_seed = mix64(seed, PART, p) >> 1
        triples = draw_iteration(part_lists, n_items, part_seed, t, **law, everybody=lists)
        epochs = [epoch_of[users[u], i] for u, i, _ in triples] if epoch_of else None
        if f is None:
            part = sgd_mf(part, triples, rule)
        elif epochs is None:
            part = sgd_visual(part, f, triples, rule, block)
        else:
            part = sgd_temporal(part, f, triples, epochs, rule, block, category)
        for name in own:
            after[name][users] = part[name]
        learned.append((part, pulls(part, triples, epochs, rule, f, category)))
    for name in set(learned[0][1]):
        for place in np.ndindex(params[name].shape):
            moves = [part[name][place] - params[name][place] for part, _ in learned]
            after[name][place] += joined_moves(moves, [pulled[name][place] for _, pulled in learned])
    return after


def feature_spread(f):
    """M = 2 sum_k Var(f_k) over the items."""
    return 2 * float(np.var(np.asarray(f, dtype=np.float64), axis=0).sum())


def block_size(learning_rate, spread, theta):
    """Largest power of two B <= 1024 with eta B M (1 + Theta) <= 260, and whether the rate is too high.

    spread is M, theta the mean of |theta_u|^2 over the users at the start of the iteration.
    """
    load = learning_rate * spread * (1 + theta)
    block = 1024
    while block > 1 and block * load > 260:
        block //= 2
    return block, load > 8


def temporal_load(params, f):
    """What replaces M (1 + Theta) of `block_size` in time: the largest over the epochs t of

    2 sum_c Var_c [(1 + b_tc^2 + beta_c^2) + sum_k Theta_k (1 + w_tk^2 + E_kc^2)], Theta_k = mean theta_uk^2.
    """
    spread = np.var(np.asarray(f, dtype=np.float64), axis=0)
    theta = (params["user_visual"] ** 2).mean(0)
    loads = []
    for w, b in zip(params["weight"], params["bias_weight"]):
        load = 0.0
        for c, variance in enumerate(spread):
            load += 2 * variance * (1 + b[c] ** 2 + params["visual_bias"][c] ** 2)
            for k in range(len(w)):
                load += 2 * variance * theta[k] * (1 + w[k] ** 2 + params["embedding"][k, c] ** 2)
        loads.append(load)
    return max(loads)


def steepest_column(params, f):
    """The largest 2 Var_c (1 + b_tc^2 + beta_c^2) of an epoch t and a column c."""
    spread = np.var(np.asarray(f, dtype=np.float64), axis=0)
    return max(
        2 * variance * (1 + b[c] ** 2 + params["visual_bias"][c] ** 2)
        for b in params["bias_weight"]
        for c, variance in enumerate(spread)
    )


def temporal_block_size(learning_rate, params, f):
    """Largest power of two B <= 1024 that `block_size` allows and with eta B steepest_column <= 8, or 1."""
    block, _ = block_size(learning_rate, temporal_load(params, f), 0.0)
    while block > 1 and learning_rate * block * steepest_column(params, f) > 8:
        block //= 2
    return block


def average(mean, params, a):
    """Averaged copy after an iteration: mean None (after the first) is a copy, then mean + (1-a)(P - mean)."""
    if mean is None:
        return copy_params(params)
    return {name: mean[name] + (1 - a) * (params[name] - mean[name]) for name in params}


# --- split -------------------------------------------------------------------------------------------------


def split_random(user_id, n, seed):
    """Places (test, valid) among a user's n >= 2 items in ascending order of their id bytes."""
    head = hashlib.sha256(str(user_id).encode()).digest()[:8]
    key = mix64(seed, SPLIT, int.from_bytes(head, "little"))
    test = bounded(mix64(key, 0), n)
    valid = bounded(mix64(key, 1), n - 1)
    return test, valid + (valid >= test)


def split_draws(user_id, n, seed):
    """What decides between equal times, for each of a user's n items in ascending order of their id bytes."""
    head = hashlib.sha256(str(user_id).encode()).digest()[:8]
    key = mix64(seed, SPLIT, int.from_bytes(head, "little"))
    return [mix64(key, 2 + place) for place in range(n)]


def split_last(user_id, times, seed):
    """Places (test, valid): the last item and the one before; times in ascending order of the id bytes."""
    draws = split_draws(user_id, len(times), seed)
    order = sorted(range(len(times)), key=lambda n: (times[n], draws[n]))
    return order[-1], order[-2]


def split_first_of(user_id, times, seed, start, end):
    """Place of the first item with start <= time < end, None where there is none."""
    draws = split_draws(user_id, len(times), seed)
    inside = [n for n in range(len(times)) if start <= times[n] < end]
    return min(inside, key=lambda n: (times[n], draws[n]), default=None)


# --- feature scaling ---------------------------------------------------------------------------------------


def feature_scaling(values, kind):
    """Shift and multiplier, each (F,), such that f = (values - shift) * multiplier."""
    values = np.asarray(values, dtype=np.float64)
    n_items, n_features = values.shape
    shift, multiplier = np.zeros(n_features), np.ones(n_features)
    if kind == "max":
        multiplier /= np.abs(values).max() if np.any(values) else 1.0
    elif kind == "standard":
        varying = values.min(0) < values.max(0)
        shift = values.mean(0)
        target = math.sqrt(min(1.0, 10 / max(varying.sum(), 1)))
        for k in range(n_features):
            multiplier[k] = target / values[:, k].std() if varying[k] else 0.0
    elif kind == "idf":
        for k in range(n_features):
            inside = math.log(n_items / (1 + (values[:, k] > 0).sum()))
            multiplier[k] = math.sqrt(max(inside, 0.0))
    else:
        assert kind == "none"
    return shift, multiplier


# --- ranking questions -------------------------------------------------------------------------------------


def training_counts(lists, n_items):
    """Number of training pairs of every item, (I,) int64."""
    counts = np.zeros(n_items, dtype=np.int64)
    for items in lists:
        for i in items:
            counts[i] += 1
    return counts


def count_class(count):
    """Class of an item by its training count: 0, 1-4, 5 and more."""
    return 0 if count == 0 else 1 if count < 5 else 2


def candidates(lists, valid, test, u, n_items):
    """E(u): the items that u has in no split, ascending. `valid` and `test` hold one row a user or -1."""
    return sorted(set(range(n_items)) - set(lists[u]) - {valid[u], test[u]})


def count_pairs(row, i, items):
    """How many of `items` score below i, equal to it, and how many there are."""
    wins = sum(1 for j in items if row[i] > row[j])
    ties = sum(1 for j in items if row[i] == row[j])
    return wins, ties, len(items)


def per_user(row_of, lists, valid, test, n_items, split="test", ties="strict", stratified=False):
    """AUC of every user that has a held-out item and a candidate: list of (u, i, auc, pairs, ties).

    row_of(u, i) returns the scores (I,) of u at the time of the held-out item i.
    """
    counts = training_counts(lists, n_items)
    out = []
    for u, i in enumerate(test if split == "test" else valid):
        if i < 0:
            continue
        items = candidates(lists, valid, test, u, n_items)
        if stratified:
            items = [j for j in items if count_class(counts[j]) == count_class(counts[i])]
        if not items:
            continue
        wins, equal, n = count_pairs(row_of(u, i), i, items)
        out.append((u, i, (wins + {"strict": 0.0, "half": 0.5}[ties] * equal) / n, n, equal))
    return out


def summary(rows):
    """Mean over users with its standard error, and the counts, from `per_user`."""
    values = [row[2] for row in rows]
    n = len(values)
    return {
        "auc": float(np.mean(values)) if n else None,
        "users": n,
        "pairs": sum(row[3] for row in rows),
        "tied_pairs": sum(row[4] for row in rows),
        "stderr": float(np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else None,
    }


def auc(row_of, lists, valid, test, n_items, split="test", ties="strict", cold_below=5):
    """All Items, Cold Start (users whose held-out item has few training pairs) and stratified AUC."""
    counts = training_counts(lists, n_items)
    rows = per_user(row_of, lists, valid, test, n_items, split, ties)
    strata = per_user(row_of, lists, valid, test, n_items, split, ties, stratified=True)
    return {
        "all": summary(rows),
        "cold": summary([row for row in rows if counts[row[1]] < cold_below]),
        "stratified": summary(strata),
    }


def inverse_popularity(lists, n_items):
    """Scores of the diagnostic that knows nothing but rarity; judged with half ties."""
    return -training_counts(lists, n_items).astype(np.float64)


def cosine_scores(lists, u, values, attributes=True):
    """Mean over the user's training items of the cosine of feature rows; zero rows give 0.

    Attributes are weighted by how rare they are, a probability counting as that much of an item.
    """
    g = np.array(values, dtype=np.float64)
    if attributes:
        for k in range(g.shape[1]):
            g[:, k] *= math.sqrt(max(math.log(len(g) / (1 + sum(g[:, k]))), 0.0))
    norms = np.sqrt((g * g).sum(1))
    unit = np.array([row / norm if norm > 0 else row for row, norm in zip(g, norms)])
    return np.array([np.mean([unit[h] @ row for h in lists[u]]) for row in unit])


def rank(row, i, items):
    """Place of i among `items` and itself, ties against it; the first place is 1."""
    return 1 + sum(1 for j in items if j != i and row[j] >= row[i])


def metric_of_rank(name, k, r):
    """What a list of length k is worth whose one relevant item stands at rank r, by the usual definitions."""
    relevant = [place == r for place in range(1, k + 1)]
    if name == "recall":
        return sum(relevant) / 1
    if name == "precision":
        return sum(relevant) / k
    if name == "ndcg":
        return sum(hit / math.log2(1 + place) for place, hit in enumerate(relevant, 1)) / (1 / math.log2(2))
    if name == "map":  # mean of the precision at each relevant item that is on the list
        precisions = [sum(relevant[:place]) / place for place, hit in enumerate(relevant, 1) if hit]
        return sum(precisions) / 1
    assert name == "mrr"
    return next((1 / place for place, hit in enumerate(relevant, 1) if hit), 0.0)


def metric(row_of, lists, valid, test, n_items, name, k, split="test", cold_below=None):
    """Mean over users, its standard error, and how many; only cold held-out items where a limit is given."""
    counts = training_counts(lists, n_items)
    values = [
        metric_of_rank(name, k, rank(row_of(u, i), i, candidates(lists, valid, test, u, n_items)))
        for u, i, *_ in per_user(row_of, lists, valid, test, n_items, split)
        if cold_below is None or counts[i] < cold_below
    ]
    n = len(values)
    error = float(np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else None
    return {"value": float(np.mean(values)) if n else None, "stderr": error, "users": n}


def paired_difference(one, other):
    """Mean of the differences of each user, its standard error, the 95 % interval, and how many users.

    `one` and `other` are what `per_user` returned for two scorers of the same questions.
    """
    mine, theirs = ({row[0]: row[2] for row in rows} for rows in (one, other))
    assert mine.keys() == theirs.keys()
    d = [mine[u] - theirs[u] for u in mine]
    n = len(d)
    mean = sum(d) / n
    error = math.sqrt(sum((x - mean) ** 2 for x in d) / (n - 1)) / math.sqrt(n)
    return {
        "difference": mean,
        "stderr": error,
        "ci95": [max(-1.0, mean - 1.96 * error), min(1.0, mean + 1.96 * error)],
        "users": n,
    }


# --- steering ----------------------------------------------------------------------------------------------


def sensitivities(params, u, multiplier, epoch=None):
    """s_k = theta_u . E_k + beta_k of one user, for the values before scaling; shape (F,)."""
    n = len(multiplier)
    unit = np.eye(n)
    taste = [params["user_visual"][u] @ visual_vector(params, unit[k], epoch) for k in range(n)]
    return (np.array(taste) + visual_bias(params, epoch)) * multiplier


def centred(s, mean, exclusive_groups):
    """s_k minus c_g in every exclusive group, a range of columns: c_g = sum mean_k s_k / sum mean_k."""
    s = np.array(s, dtype=np.float64)
    for columns in exclusive_groups:
        weight = sum(mean[k] for k in columns)
        if weight > 0:
            level = sum(mean[k] * s[k] for k in columns) / weight
            for k in columns:
                s[k] -= level
    return s


def shared(p):
    """N(p): divided by the sum; uniform where that is 0."""
    p = np.asarray(p, dtype=np.float64)
    return p / p.sum() if p.sum() > 0 else np.full(len(p), 1 / len(p))


def affinity(s, normalise, temperature=1.0):
    """Equation 5 of centred sensitivities, normalised by a shift or by softmax."""
    if normalise == "shift":
        return shared(s - s.min())
    assert normalise == "softmax"
    return shared(np.exp((s - s.max()) / temperature))


def affinity_as_printed(params, u, s, items, epoch=None):
    """Equation 5 as printed, alpha = beta_u = 0: the sum over a sample of items, divided by its sum."""
    p = np.zeros(len(s))
    for i in items:
        p += item_bias(params, i, epoch) + params["user_factors"][u] @ params["item_factors"][i] + s
    return p / p.sum()


def click_toward(p, v, phi, literal=False):
    """Equation 6: N(p + phi N(v)), as printed N(p + phi v); nothing falls below 0."""
    if v.sum() == 0:
        return p
    return shared(np.maximum(p + phi * (v if literal else v / v.sum()), 0))


def click_boost(p, k, phi):
    """Equation 7: N(p + phi h(k)); nothing falls below 0."""
    p = np.array(p)
    p[k] = max(p[k] + phi, 0)
    return shared(p)


def similarity(p, v, metric):
    """Cosine of p and v, or minus the Euclidean distance of p and N(v), to 12 digits of what is summed."""
    if metric == "cosine":
        return round(float(p @ v / math.sqrt(p @ p) / math.sqrt(v @ v)), 12)
    return -math.sqrt(round(float(sum((a - b) ** 2 for a, b in zip(p, v / v.sum()))), 12))


def nearest(p, values, metric, without):
    """All items with any value, but for `without`, by similarity, then by row: pairs (row, similarity)."""
    rows = [i for i in range(len(values)) if i not in without and values[i].sum() > 0]
    found = [(i, similarity(p, values[i], metric)) for i in rows]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def steered_scores(x, values, boosts, towards):
    """x_ui + sigma_u sum_k delta_k v_ik of all items; boosts (k, amount), towards (i, phi), in any order."""
    mean = values.mean(0)
    delta = np.zeros(values.shape[1])
    for k, amount in boosts:
        delta[k] += amount
    for i, phi in towards:
        away = values[i] - mean
        if away @ away > 1e-12 * (values[i] @ values[i]):
            delta += phi * away / (away @ away)
    return x + (x.std() or 1.0) * (values @ delta)


# --- epoch segmentation ------------------------------------------------------------------------------------


def time_bin(time, first, last, n_bins):
    """Equal-width bin of a timestamp in seconds, both ends clamped; exact integer arithmetic."""
    if last == first:
        return 0
    return min(max((int(time) - first) * n_bins // (last - first), 0), n_bins - 1)


def start_ends(n_bins, n_epochs):
    """First segmentation: every epoch n_bins // n_epochs bins counted from the end, epoch 0 the rest."""
    width = n_bins // n_epochs
    return [n_bins - 1 - width * (n_epochs - 1 - e) for e in range(n_epochs)]


def epoch_of_bin(b, ends):
    """First epoch e with b <= ends[e]."""
    return next(e for e, end in enumerate(ends) if b <= end)


def epoch_edges(ends, first, last, n_bins):
    """Edges (N + 1) such that epoch e holds edges[e] <= time < edges[e + 1]: first second of each epoch."""
    starts = [0] + [end + 1 for end in ends]
    return [first + -(-b * (last - first) // n_bins) for b in starts]


def epoch_of_time(time, edges):
    """Epoch of a timestamp, clamped to the first and the last epoch."""
    inside = [e for e in range(len(edges) - 1) if edges[e] <= time]
    return inside[-1] if inside else 0


def segment_negatives(lists, n_items, seed, t, event, u, i, n):
    """n negatives of one event: accepted draws a = 0, 1, ... that are neither in P_u nor i."""
    blocked = {*lists[u], i}
    assert len(blocked) < n_items
    found, a = [], 0
    while len(found) < n:
        j = bounded(mix64(seed, SEG, t, event, a), n_items)
        if j not in blocked:
            found.append(j)
        a += 1
    return found


def segment_table(params, f, events, negatives, bins, n_bins, category=None):
    """V[b, e] = sum over the events (u, i) of bin b and their negatives j of ln sigma(x_ui(e) - x_uj(e))."""
    n_epochs = len(params["weight"])
    table = np.zeros((n_bins, n_epochs))
    for (u, i), js, b in zip(events, negatives, bins):
        for e in range(n_epochs):
            table[b, e] += sum(log_sigmoid(difference(params, u, i, j, f, e, category)) for j in js)
    return table


def segmentation_value(table, ends):
    """Sum of V over the bins, each with the parameters of its segment."""
    return sum(table[b, epoch_of_bin(b, ends)] for b in range(len(table)))


def segment_brute_force(table):
    """Best ends by trying all; the first in lexicographic order among equals."""
    n_bins, n_epochs = table.shape
    best, best_value = None, None
    for inner in itertools.combinations(range(n_bins - 1), n_epochs - 1):
        ends = [*inner, n_bins - 1]
        value = segmentation_value(table, ends)
        if best_value is None or value > best_value:
            best, best_value = ends, value
    return best


def segment(table):
    """Best ends by S_e(m) = max_{k >= m} sum_{b=m..k} V[b, e] + S_{e+1}(k + 1); ties: the smallest k."""
    n_bins, n_epochs = table.shape
    best, choice = np.full((n_epochs + 1, n_bins + 1), -np.inf), np.zeros((n_epochs, n_bins), dtype=int)
    best[n_epochs, n_bins] = 0.0
    for e in range(n_epochs - 1, -1, -1):
        for m in range(n_bins):
            for k in range(m, n_bins):
                value = table[m : k + 1, e].sum() + best[e + 1, k + 1]
                if value > best[e, m]:
                    best[e, m], choice[e, m] = value, k
    ends, m = [], 0
    for e in range(n_epochs):
        ends.append(int(choice[e, m]))
        m = ends[-1] + 1
    return ends


# --- the built-in world ------------------------------------------------------------------------------------


def choose_item(utilities, owned, kappa, uniform):
    """Place of the one that is drawn with probability ∝ exp(κ x) among the x, (n,); owned: set of places.

    None where all are owned. `uniform` in [0, 1) says where in the sum of the weights the choice falls.
    """
    x = [-math.inf if c in owned else value for c, value in enumerate(utilities)]
    if max(x) == -math.inf:
        return None
    weights = [math.exp(kappa * (value - max(x))) for value in x]
    total, reached = 0.0, 0.0
    for weight in weights:
        total += weight
    for c, weight in enumerate(weights):
        if weight > 0:
            chosen = c
            reached += weight
            if reached > uniform * total:
                break
    return chosen


def purchases(seed, u, times, release, epoch_of, utility, candidates, kappa):
    """Items of one user's purchases at ascending `times`, one each.

    release : (I,) seconds. epoch_of : from a time to its epoch. utility : from item and epoch to x*.
    candidates : how many items are drawn to compete; 0: all that are on sale.
    """
    shelf = sorted(range(len(release)), key=lambda i: (release[i], i))
    bought = []
    for n, time in enumerate(times):
        on_sale = [i for i in shelf if release[i] <= time]
        chosen, attempt = None, 0
        while chosen is None:
            words = (seed, WORLD, u, n, attempt)
            drawn = on_sale
            if candidates:
                drawn = [on_sale[bounded(mix64(*words, c), len(on_sale))] for c in range(candidates)]
            owned = {c for c, i in enumerate(drawn) if i in bought}
            uniform = (mix64(*words, 1 << 32) >> 11) * 2.0**-53
            place = choose_item([utility(i, epoch_of(time)) for i in drawn], owned, kappa, uniform)
            chosen = None if place is None else drawn[place]
            attempt += 1
        bought.append(chosen)
    return bought


# --- errors of a table: users, runs, both -------------------------------------------------------------------


def table_errors(values):
    """Mean over runs, and its standard errors over users, over runs and of both; NaN: does not count.

    values : list of runs, each a list with one number a user.
    """
    runs = [[v for v in run if v == v] for run in values]
    means = [sum(run) / len(run) for run in runs]
    n_runs, n_users = len(values), len(values[0])
    mean = sum(means) / n_runs
    total, counted = 0.0, 0
    for u in range(n_users):
        z, there = 0.0, False
        for r in range(n_runs):
            if values[r][u] == values[r][u]:
                there = True
                z += (values[r][u] - means[r]) / (n_runs * len(runs[r]))
        total += z * z
        counted += there
    over_users = total * counted / (counted - 1)
    over_runs = sum((m - mean) ** 2 for m in means) / (n_runs * (n_runs - 1)) if n_runs > 1 else 0.0
    return mean, over_users**0.5, over_runs**0.5, (over_users + over_runs) ** 0.5


def holm(p):
    """Step-down: the smallest p times the number of comparisons, the next times one less, …; never falling."""
    left = sorted(range(len(p)), key=lambda k: p[k])
    found, before = [0.0] * len(p), 0.0
    while left:
        before = max(before, min(1.0, len(left) * p[left[0]]))
        found[left[0]] = before
        left = left[1:]
    return found
