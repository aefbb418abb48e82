"""What `fe2 homogenize` says about a cell when its numbers go to a file."""

from typing import Any

_MOST = 12
"""Phases that get a line."""


def describe_cell(result: dict[str, Any]) -> str:
    """A line on the whole and one on each phase, of the result that `homogenize_case` returns."""
    descriptors = result["descriptors"]
    pieces = descriptors.get("nearest_neighbour_distance", {})
    prefix = "volume_fraction_"
    fractions = {key.removeprefix(prefix): share for key, share in descriptors.items() if key.startswith(prefix)}
    width = max(map(len, fractions))
    lines = [f"Cell of {descriptors['elements']:.0f} elements, volume {result['volume']:g}"]
    for name, share in list(fractions.items())[:_MOST]:
        line = f"  {name:{width}}  volume fraction {share:.6g}"
        if name in pieces:
            p = pieces[name]
            count = "1 piece" if p["pieces"] == 1 else f"{p['pieces']} pieces"
            line += (
                f", {count}, nearest neighbours {p['least']:.3g} to {p['largest']:.3g} away, {p['mean']:.3g} on average"
            )
        lines.append(line)
    if len(fractions) > _MOST:
        lines.append(f"  … and {len(fractions) - _MOST} more phases")
    return "\n".join(lines)
