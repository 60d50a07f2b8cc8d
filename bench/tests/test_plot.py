import math
import re
import unittest
import xml.etree.ElementTree as ElementTree

from measure.plot import HEIGHT, WIDTH, Line, Picture, draw, short, ticks

SVG = "{http://www.w3.org/2000/svg}"


class Plot(unittest.TestCase):
    def picture(self, logarithmic: bool = True) -> ElementTree.Element:
        return ElementTree.fromstring(draw(Picture("a < b", "numbers", "us", logarithmic, [
            Line("one", [(1000, 100, 90, 120), (10_000, 100, 95, 101), (10_000_000, 200, 190, 210)]), Line("two", [(1000, 50, 50, 50)])])))

    def test_every_point_lies_in_the_frame_with_its_spread(self) -> None:
        for logarithmic in (True, False):
            circles = self.picture(logarithmic).findall(SVG + "circle")
            self.assertEqual(len(circles), 4)
            self.assertTrue(all(0 < float(c.attrib["cx"]) < WIDTH and 0 < float(c.attrib["cy"]) < HEIGHT for c in circles))

    def test_equal_is_level_and_twice_is_twice_as_high_above_zero(self) -> None:
        y = [float(c.attrib["cy"]) for c in self.picture().findall(SVG + "circle")]
        zero = max(float(g.attrib["y1"]) for g in self.picture().findall(SVG + "line") if g.attrib["class"] == "grid")
        self.assertEqual(y[0], y[1])
        self.assertTrue(math.isclose(zero - y[2], 2 * (zero - y[0]), abs_tol=0.3))

    def test_readable_on_a_dark_page(self) -> None:
        text = draw(Picture("t", "x", "y", False, []))
        self.assertIsNotNone(re.search(r"prefers-color-scheme:dark", text))

    def test_round_ticks(self) -> None:
        for highest in (0.7, 9, 10, 31, 234, 5000):
            t = ticks(highest)
            self.assertTrue(t[0] == 0 and t[-1] >= highest and 4 <= len(t) <= 11, t)
        self.assertEqual([short(x) for x in (100, 1000, 1500, 10_000_000)], ["100", "1k", "1.5k", "10M"])


if __name__ == "__main__":
    unittest.main()
