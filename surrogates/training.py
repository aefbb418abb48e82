"""Training of any family: a Sobolev loss on flux, tangent and energy, the whole training split in every evaluation.

    loss = ‖flux − data‖² / ‖data flux‖² + ‖tangent − data‖² / ‖data tangent‖² (+ weight · ‖tangent − tangentᵀ‖² / …)
           + weight · ‖energy gained − data‖² / ‖data gained‖², of which the data are in `surrogates/path_energy.py`

Norms are over all states and components of the training split, so that all terms are squared relative errors and
need no weights from the user. The weights with the lowest loss on the validation split are kept.

For families that remember, each principal direction of the flux is relative to its own norm: flow bounds the shear, so
that pressure, which it does not bound, would hide every error of the rest.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from annotated_types import Ge

from materials.measures import FloatArray
from materials.parameters import NonNegative, Positive, check_fields
from surrogates.family import Family, ModelError, Samples
from surrogates.normaliser import overall_scale, principal_weights
from surrogates.path_energy import energy_gains
from surrogates.trajectories import described, follow, padded

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

ITERATIONS = 10
"""Iterations of L-BFGS, or steps of Adam, that count as one epoch: the losses are looked at after each epoch."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a network is trained. The fields are keys under `training` in case files; the defaults need no tuning."""

    seed: Annotated[int, Ge(0)] = 0
    """Seed of the weights."""
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    """L-BFGS with a strong Wolfe line search, or Adam with a cosine schedule for very large data."""
    epochs: Annotated[int, Ge(1)] = 200
    """Most epochs; one is ten iterations over the whole training split."""
    patience: Annotated[int, Ge(1)] = 30
    """Epochs without a better validation loss (by 1 %) after which training stops."""
    learning_rate: Positive = 0.01
    """First learning rate of Adam."""
    tangent_weight: NonNegative = 1.0
    """Weight of the squared relative error of the tangent beside that of the flux; 0: tangents are not learned."""
    energy_weight: NonNegative = 0.1
    """Weight of the squared relative error of energy gained between states of a path, for families with an energy."""
    symmetry_penalty: NonNegative = 0.0
    """Weight of the squared relative unsymmetric part of the tangent, for families that may have one."""
    freeze: Annotated[int, Ge(0)] = 0
    """Hidden layers, from the input on, that keep the weights of the model under `from`."""

    def __post_init__(self) -> None:
        """Check every value against its annotation."""
        check_fields(self)


class Losses(NamedTuple):
    """State of a training after an epoch; the losses are squared relative errors, summed as the loss says."""

    epoch: int
    training: float
    validation: float
    best_epoch: int
    """Epoch with the lowest validation loss so far."""


class Trained(NamedTuple):
    """Result of a training."""

    family: Family
    """The network with the best validation loss."""
    history: tuple[Losses, ...]
    stopped: str
    """Why it ended, in words."""


def train(
    start: Family,
    training: Samples,
    validation: Samples,
    settings: Training,
    report: Callable[[Losses], None] | None = None,
    enough: float = 0.0,
) -> Trained:
    """Train a network. The same inputs give the same weights on a CPU with the same libraries, to the last bit.

    Args:
        start: what to begin from: an untrained network, or a trained one (warm start). A family that is fitted at once
            comes back as it is, with its losses.
        training: states to fit.
        validation: states that decide when to stop; without any, the training split does.
        settings: optimiser, limits, weights.
        report: called after each epoch.
        enough: validation loss at which it is good enough to stop.

    Raises:
        ModelError: the loss is not a finite number at the start, or there are fewer hidden layers than are to be held.
    """
    if not start.iterative:
        return _fitted(start, training, validation, settings)
    from surrogates import torch_boundary as tb

    tb.reproducible(settings.seed)
    where = tb.device()
    module = start.torch_model().to(where)
    _hold(module, start, settings.freeze)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    scales = (_flux_weights(start, training.flux), overall_scale(training.tangent, "tangent"))
    objective = _Objective(module, start, training, scales, settings, where)
    held_out = objective
    if len(validation.gradient):
        held_out = _Objective(module, start, validation, scales, settings, where)
    optimise = _lbfgs if settings.optimizer == "lbfgs" else _adam

    best = _snapshot(module)
    lowest = float(held_out().detach())
    if not math.isfinite(lowest):
        raise ModelError("the loss is not a finite number before training: the network has no answer for some states")
    history = [Losses(0, float(objective().detach()), lowest, 0)]
    milestone, milestone_epoch = lowest, 0
    stopped = f"{settings.epochs} epochs"
    for epoch, training_loss in enumerate(optimise(parameters, objective, settings), start=1):
        validation_loss = float(held_out().detach()) if math.isfinite(training_loss) else math.nan
        if not math.isfinite(validation_loss):
            stopped = f"the loss was not a finite number in epoch {epoch}"
            break
        best_epoch = history[-1].best_epoch
        if validation_loss < lowest:
            lowest, best, best_epoch = validation_loss, _snapshot(module), epoch
        history.append(Losses(epoch, training_loss, validation_loss, best_epoch))
        if report is not None:
            report(history[-1])
        if validation_loss < 0.98 * milestone:
            milestone, milestone_epoch = validation_loss, epoch
        if epoch - milestone_epoch >= settings.patience:
            stopped = f"no better validation loss in {settings.patience} epochs"
            break
        if lowest == 0.0 or training_loss < 1e-24:
            stopped = "nothing is left to learn"
            break
        if lowest <= enough:
            stopped = f"the validation loss is below {enough:g}"
            break
    return Trained(start.updated(best), tuple(history), stopped)


def _fitted(family: Family, training: Samples, validation: Samples, settings: Training) -> Trained:
    """A family that needs no training, and its losses."""
    scales = (overall_scale(training.flux, "flux"), overall_scale(training.tangent, "tangent"))
    held_out = validation if len(validation.gradient) else training
    losses = []
    for samples in (training, held_out):
        answers = follow(family, samples)
        errors = [
            float(np.sum(np.square(answer - wanted))) / (len(wanted) * scale**2)
            for answer, wanted, scale in zip(answers, samples[1:3], scales, strict=True)
        ]
        losses.append(errors[0] + settings.tangent_weight * errors[1])
    if not np.isfinite(losses).all():
        raise ModelError("the loss is not a finite number: the fit has no answer for some states")
    return Trained(family, (Losses(0, losses[0], losses[1], 0),), "fitted at once")


def _hold(module: "Module", family: Family, count: int) -> None:
    """Keep the weights of so many hidden layers as they are."""
    layers = family.hidden_layers()
    if count > len(layers):
        raise ModelError(f"freeze is {count}, but {family.name} has {len(layers)} hidden layers")
    held = [name for layer in layers[:count] for name in layer]
    for name, parameter in module.named_parameters():
        if name in held:
            parameter.requires_grad_(requires_grad=False)


class _Objective:
    """The loss of a module on some states."""

    def __init__(
        self,
        module: "Module",
        family: Family,
        samples: Samples,
        scales: tuple[FloatArray, float],
        settings: Training,
        where: Any,
    ) -> None:
        from surrogates import torch_boundary as tb

        self.module = module
        self.flux, self.tangent = tb.as_tensor(samples.flux, where), tb.as_tensor(samples.tangent, where)
        self.inputs: tuple[Tensor, ...]
        self.known: Tensor | None = None
        if family.state_size:
            paths = padded(samples)
            self.inputs = (tb.as_tensor(paths.gradient, where), tb.as_tensor(paths.dt, where))
            self.known = tb.torch.tensor(paths.known, device=where)
        else:
            self.inputs = (tb.as_tensor(samples.gradient, where),)
        if family.descriptors:
            self.inputs += (tb.as_tensor(described(family, samples), where),)
        self.flux_weights, self.tangent_scale = tb.as_tensor(scales[0], where), scales[1]
        self.settings = settings
        self.gains: _Gains | None = None
        if settings.energy_weight > 0.0 and family.conservative and hasattr(module, "response"):
            self.gains = _gains(samples, where)
        self.learns_tangent = family.learns_tangent

    def __call__(self) -> "Tensor":
        if not self.learns_tangent:
            return self._flux_loss(self.module.flux(*self.inputs))
        if self.gains is None:
            flux, tangent = self.module(*self.inputs)
            loss = self._flux_loss(flux)
        else:
            energy, flux, tangent = self.module.response(*self.inputs)
            gained = energy[self.gains.after] - energy[self.gains.before]
            error = ((gained - self.gains.energy) ** 2).sum() / (self.gains.energy**2).sum()
            loss = self._flux_loss(flux) + self.settings.energy_weight * error
        if self.known is not None:
            tangent = tangent[self.known]
        n = len(self.flux)
        if self.settings.tangent_weight > 0.0:
            error = ((tangent - self.tangent) ** 2).sum() / (n * self.tangent_scale**2)
            loss = loss + self.settings.tangent_weight * error
        if self.settings.symmetry_penalty > 0.0:
            unsymmetric = ((tangent - tangent.transpose(1, 2)) ** 2).sum() / (n * self.tangent_scale**2)
            loss = loss + self.settings.symmetry_penalty * unsymmetric
        return loss

    def _flux_loss(self, flux: "Tensor") -> "Tensor":
        if self.known is not None:
            flux = flux[self.known]
        return (((flux - self.flux) @ self.flux_weights) ** 2).sum() / len(self.flux)


def _flux_weights(family: Family, flux: FloatArray) -> FloatArray:
    """What an error of the flux is multiplied with in the loss, (g, g); see the module."""
    if family.remembers:
        return principal_weights(flux, "flux")
    return np.asarray(np.eye(flux.shape[1]) / overall_scale(flux, "flux"))


class _Gains(NamedTuple):
    """See `surrogates.path_energy.Gains`."""

    before: "Tensor"
    after: "Tensor"
    energy: "Tensor"


def _gains(samples: Samples, where: Any) -> _Gains | None:
    """Gains of energy along the paths of some samples; None if there are none."""
    from surrogates import torch_boundary as tb

    before, after, energy = energy_gains(samples)
    if not energy.any():
        return None
    begin, end = (tb.torch.tensor(index, device=where) for index in (before, after))
    return _Gains(begin, end, tb.as_tensor(energy, where))


def _lbfgs(parameters: list["Tensor"], objective: _Objective, settings: Training) -> Iterator[float]:
    """Epochs of L-BFGS; yields the training loss after each."""
    from surrogates.torch_boundary import torch

    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=ITERATIONS,
        history_size=50,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> "Tensor":
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    for _ in range(settings.epochs):
        optimizer.step(closure)
        yield float(objective().detach())


def _adam(parameters: list["Tensor"], objective: _Objective, settings: Training) -> Iterator[float]:
    """Epochs of Adam, whose learning rate falls along a cosine to zero; yields the training loss after each."""
    from surrogates.torch_boundary import torch

    optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate)
    steps = settings.epochs * ITERATIONS
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(settings.epochs):
        for _ in range(ITERATIONS):
            optimizer.zero_grad()
            objective().backward()
            optimizer.step()
            schedule.step()
        yield float(objective().detach())


def _snapshot(module: "Module") -> dict[str, FloatArray]:
    """The trainable parameters of a module by name."""
    from surrogates.torch_boundary import as_numpy

    return {name: as_numpy(value) for name, value in module.named_parameters()}
