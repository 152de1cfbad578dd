"""Other programs that learn BPR matrix factorization, behind one interface, where they are installed.

Each learns the same training pairs with the same options. A triple is one of the program's samples, as many
an iteration as there are training pairs. Their laws are their own:

implicit     draws positives by pair, negatives by popularity, and skips a triple whose negative the user owns
cornac       draws positives by pair, negatives uniformly
LightFM      its loss "bpr" with adagrad, unpenalised; every pair once an iteration, negatives by popularity
MyMediaLite  BPRMF of the program `item_recommendation`, where it is on the PATH; users uniformly
"""

from __future__ import annotations

from benchmarks.inputs import Work
from benchmarks.peers.cornac import Cornac
from benchmarks.peers.implicit import Implicit
from benchmarks.peers.interface import Learned, Options, Peer
from benchmarks.peers.lightfm import LightFM
from benchmarks.peers.mymedialite import MyMediaLite
from benchmarks.registry import Implementation, Run
from benchmarks.timing import test_auc
from ivbpr_numba.ranking import ItemSide, VectorScorer

__all__ = ["PEERS", "Learned", "Options", "Peer", "factorization"]

PEERS: dict[str, Peer] = {peer.name: peer for peer in (Implicit(), Cornac(), LightFM(), MyMediaLite())}


def factorization(name: str) -> Implementation:
    """What a peer makes of a case of BPR-MF."""

    def run(work: Work, threads: int) -> Run:
        size, o = work.size, work.options()
        options = Options(size.factors, o["learning_rate"], o["lambda_theta"], size.iterations, threads)
        learned = PEERS[name].learn(work.data, options)
        quality = learned.auc
        if learned.user_factors is not None:
            items = ItemSide(learned.item_factors, learned.item_bias)
            quality = test_auc(VectorScorer(learned.user_factors, items), work)
        amount = float(learned.triples)
        return Run(amount, learned.seconds, amount, learned.cpu_seconds, learned.arrays(), quality)

    return run
