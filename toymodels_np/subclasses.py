"""What an object of a class of one's own may hold and override: nothing of it is ignored."""

from functools import cached_property
from types import MethodType


def check_training(thing, home):
    """`check_overrides` for what training calls."""
    check_overrides(thing, home, "training", ("loss", "loss_and_grad"), ("forward", "_forward"))


def check_evaluation(thing, home):
    """`check_overrides` for what `loss` calls."""
    check_overrides(thing, home, "evaluation", ("forward", "_forward"), ("loss_and_grad", "loss"))


def check_overrides(thing, home, who, *pairs):
    """Of each pair of methods, whatever overrides the first last must override the second, too.

    thing : an object, whose own methods count
    home : the module of the classes that are overridden; where a method of theirs is of another
        module, it was replaced
    who : calls the second of each pair
    """
    def own(name):
        return [name in vars(one) and (
            one.__module__ != home or getattr(vars(one)[name], "__module__", "") != home)
            for one in (thing, *type(thing).__mro__)]

    for one, other in pairs:
        if own(one) > own(other):
            raise TypeError(f"{type(thing).__name__} overrides {one}, but {who} calls {other}: "
                            f"override that, too")


def built(cls, parameters):
    """An object of the class around parameters in the order of its `parameter_shapes`."""
    names, parameters = list(cls.parameter_shapes), list(parameters)
    if len(names) != len(parameters):
        raise TypeError(f"{cls.__name__} has the parameters {', '.join(names)}, one array each, "
                        f"got {len(parameters)} arrays")
    new = object.__new__(cls)
    for name, a in zip(names, parameters):
        setattr(new, name, a)
    return new


def check_parameters(shapes, arrays):
    """TypeError or ValueError unless these are the parameters of a model, or of a stack of models.

    shapes : name -> axes after the instances, as in `parameter_shapes`
    """
    names = list(shapes)
    for name, a in zip(names, arrays):
        if not hasattr(a, "shape"):
            raise TypeError(f"{name} must be an array, got {a!r}")
    if len(arrays[0].shape) < 2:
        raise ValueError(f"{names[0]} must have at least 2 axes, got shape {arrays[0].shape}")
    *lead, first, second = arrays[0].shape
    sizes = dict(zip(shapes[names[0]], (first, second)))                            # m and n
    for name, a in zip(names, arrays):
        sizes = dict(zip(shapes[name], a.shape[len(lead):])) | sizes    # other letters: any size
        expected = (*lead, *(sizes.get(axis, axis) for axis in shapes[name]))
        if a.shape != expected:
            raise ValueError(f"{name} must have shape {expected} to go with {names[0]} "
                             f"{arrays[0].shape}, got {a.shape}")


def carry(old, new):
    """`new`, with whatever else `old` holds. What is worked out from the parameters is not: cached
    properties begin anew, and methods that are bound to `old` are bound to `new`.
    """
    for name, value in vars(old).items():
        if name in vars(new) or isinstance(getattr(type(old), name, None), cached_property):
            continue
        if getattr(value, "__self__", None) is old:
            value = MethodType(value.__func__, new)
        vars(new)[name] = value
    return new


def check_selectable(thing, usual, lead):
    """TypeError if the object holds more arrays than the `usual` ones with the axes `lead` first:
    whether a selection of instances should select of these, too, nobody says.
    """
    for name, value in vars(thing).items():
        shape = getattr(value, "shape", ())
        if name not in usual and lead and tuple(shape[:len(lead)]) == tuple(lead):
            raise TypeError(f"this {type(thing).__name__} holds {name!r} of shape {shape} beside "
                            f"its parameters, which may belong to its instances {lead}: select of "
                            f"both by hand")


def each_instance(model):
    """The models of a stack one after the other, along its first axis; TypeError for a single one,
    of which a loop by index would make none at all.
    """
    if not model.instances:
        raise TypeError(f"{model!r} is a single model, not a stack of models to go through")
    return (model[i] for i in range(model.instances[0]))


def check_alike(output, target):
    """ValueError unless both have a row a sample and a column a feature."""
    if output.shape[-2:] != target.shape[-2:]:
        raise ValueError(f"output and target must both have the shape of x, (..., B, n), "
                         f"got {output.shape} and {target.shape}")
