"""A figure's SVG file as a part of the page: with ids of its own, in the colours of the page's theme, and short."""

import re
import xml.etree.ElementTree as ET

SVG, HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
PIXELS_PER_POINT = 96 / 72
# The colours of paper, ink and lines in figures follow the page's theme; those of backends are the same in both.
THEMED = {
    "#ffffff": "var(--sheet)",
    "#000000": "var(--ink)",
    "#666666": "var(--grey)",
    "#e2e2e2": "var(--grid)",
    "#c4c4c4": "var(--grid)",
    "#a33b00": "var(--notice-line)",
    "#0072b2": "var(--blue)",
}
PLACES = ("d", "x", "y", "transform")  # attributes with coordinates, in points
REFERENCE = re.compile(r"#([\w-]+)(?=\)|$)")  # in url(#id), and in a link


def inline(svg: bytes, name: str, label: str) -> str:
    """Return the `<svg>` element of a file of matplotlib's, for a page that holds several.

    name: of the figure, unique in the page: its ids begin with it. label: what it is, for those who do not see it.
    Raises ET.ParseError for what is not well-formed.
    """
    root = ET.fromstring(svg)
    of_root = {attribute: value for attribute, value in root.items() if attribute == "viewBox"}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{SVG}style", f"{SVG}metadata"):  # a style would hold for the whole page
                parent.remove(child)
    used = {match for element in root.iter() for value in references(element) for match in REFERENCE.findall(value)}
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.attrib = dict(shortened(element, name, used))
        element.tail = (element.tail or "").strip()
        if not len(element) and element.tag in ("text", "tspan", "title"):
            continue
        element.text = (element.text or "").strip()
    width, height = (PIXELS_PER_POINT * float(side) for side in of_root["viewBox"].split()[2:])
    size = {"width": f"{width:.0f}", "height": f"{height:.0f}"}
    words = {"class": "figure", "role": "group", "aria-label": label}
    root.attrib = {"xmlns": SVG.strip("{}"), **of_root, **size, **words}
    return ET.tostring(root, encoding="unicode")


def references(element: ET.Element) -> list[str]:
    """Return the values of attributes that may refer to an id."""
    return [element.get("clip-path", ""), element.get(HREF, "")]


def shortened(element: ET.Element, name: str, used: set[str]) -> list[tuple[str, str]]:
    """Return an element's attributes for the page: without ids that nothing refers to, coordinates in two decimals."""
    kept = []
    for attribute, value in element.items():
        if attribute == "id":
            if value in used:
                kept.append(("id", f"{name}-{value}"))
        elif attribute in ("clip-path", HREF):
            kept.append((attribute.replace(HREF, "href"), REFERENCE.sub(rf"#{name}-\1", value)))
        elif attribute == "style":
            kept.append(("style", re.sub("#[0-9a-f]{6}", lambda colour: THEMED.get(colour[0], colour[0]), value)))
        elif attribute in PLACES:
            kept.append((attribute, " ".join(re.sub(r"-?\d+\.\d+", rounded, value).split())))
        else:
            kept.append((attribute, value))
    return kept


def rounded(number: re.Match[str]) -> str:
    """Return a number with two decimals at most."""
    return f"{float(number[0]):z.2f}".rstrip("0").rstrip(".")
