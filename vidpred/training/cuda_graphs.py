"""The passes of a training step as CUDA graphs: thousands of small kernels, launched at once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vidpred.clip import Clip
from vidpred.models.batch_norm import StepBatchNorm
from vidpred.models.unroll import Feedback

WARM_UP = 3  # passes before a capture: libraries choose their kernels and take their workspace
KEPT = 2  # captures: teacher forced and free running; of a mix, those of the last shares


class Pass(NamedTuple):
    """What a pass leaves beside the gradients: named scalars, and predictions (B, T-1, C, H, W). All detached."""

    terms: dict[str, Tensor]
    predictions: Tensor


ForwardBackward = Callable[[Clip, Tensor, Tensor | float, Feedback], Pass]
"""(clip, noise, beta, feedback): adds to the gradients."""


class CapturedPasses:
    """`forward_backward` of a model, captured once for each kind of feedback and replayed from then on.

    A graph reads and writes the same memory at each replay, so that clip, noise and beta are copied to where it was
    captured, gradients are added to tensors that stay (zeroed before, never None), and what is returned holds until the
    next call. Batches all have one shape.
    """

    def __init__(self, model: nn.Module, forward_backward: ForwardBackward, record: Callable | None = None):
        """record: a function without arguments -> one that does the same again; by default a CUDA graph."""
        self.model, self.forward_backward, self.record = model, forward_backward, record or capture
        self.captured: dict[Feedback, _Capture] = {}

    def __call__(self, clip: Clip, noise: Tensor, beta: float, feedback: Feedback) -> Pass:
        """As `forward_backward`."""
        if feedback not in self.captured:
            while len(self.captured) >= KEPT:
                del self.captured[next(iter(self.captured))]
            self.captured[feedback] = _Capture(self, clip, noise, feedback)
        return self.captured[feedback].replay(clip, noise, beta)


class _Capture:
    """The passes of one kind of feedback."""

    def __init__(self, owner: CapturedPasses, clip: Clip, noise: Tensor, feedback: Feedback):
        self.inputs = clip.frames.clone(), clip.conditions.clone(), noise.clone(), noise.new_zeros(())
        norms = [module for module in owner.model.modules() if isinstance(module, StepBatchNorm)]

        def run() -> tuple[Pass, list[tuple[StepBatchNorm, Tensor, Tensor]]]:
            waiting = [norm.pending for norm in norms]
            for norm in norms:
                norm.pending = []
            frames, conditions, noise, beta = self.inputs
            result = owner.forward_backward(Clip(frames, conditions, clip.n_past), noise, beta, feedback)
            moments = [(norm, *map(torch.cat, zip(*norm.pending))) for norm in norms if norm.pending]
            for norm, earlier in zip(norms, waiting):
                norm.pending = earlier
            return result, moments

        gradients = [p.grad for p in owner.model.parameters()]
        before = [gradient.clone() for gradient in gradients]
        self.run = owner.record(run)
        for gradient, value in zip(gradients, before):
            gradient.copy_(value)  # the passes before a capture were added to it

    def replay(self, clip: Clip, noise: Tensor, beta: float) -> Pass:
        for static, value in zip(self.inputs, (clip.frames, clip.conditions, noise)):
            static.copy_(value)
        self.inputs[-1].fill_(beta)
        result, moments = self.run()
        for norm, mean, variance in moments:
            norm.pending.append((mean.clone(), variance.clone()))
        return result


def capture(function: Callable) -> Callable:
    """function() as a CUDA graph: what is returned replays it and gives what it gave, in the same memory."""
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph, stream=stream):
        result = function()

    def replay():
        graph.replay()
        return result

    return replay
