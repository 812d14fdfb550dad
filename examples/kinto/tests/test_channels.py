"""Which collections are announced to which channels."""

import unittest

from kinto_webpush_channels.channels import ChannelsError, escape, parse


class Mapping(unittest.TestCase):
    def test_an_exact_line_matches_its_collection_only(self) -> None:
        routes = parse("blog/articles = news")
        self.assertEqual(routes.channels("blog", "articles"), ["news"])
        self.assertEqual(routes.channels("blog", "comments"), [])
        self.assertEqual(routes.channels("shop", "articles"), [])

    def test_an_asterisk_stands_for_any(self) -> None:
        routes = parse("blog/* = blog")
        self.assertEqual(routes.channels("blog", "comments"), ["blog"])
        self.assertEqual(routes.channels("shop", "comments"), [])
        self.assertEqual(parse("*/tasks = tasks").channels("anyone", "tasks"), ["tasks"])

    def test_each_line_that_matches_counts_and_a_channel_only_once(self) -> None:
        routes = parse("blog/articles = news\nblog/* = blog\n*/* = news")
        self.assertEqual(routes.channels("blog", "articles"), ["news", "blog"])

    def test_placeholders_become_ids(self) -> None:
        routes = parse("*/* = changes.{bucket}.{collection}")
        self.assertEqual(routes.channels("my-blog", "old_articles"), ["changes.my-blog.old_articles"])

    def test_a_name_is_put_in_as_it_is_even_if_it_looks_like_a_placeholder(self) -> None:
        routes = parse("*/* = {bucket}:{collection}")
        self.assertEqual(routes.channels("{collection}", "c"), ["=7Bcollection=7D:c"])

    def test_other_collections_have_other_channels(self) -> None:
        routes = parse("*/* = {bucket}.{collection}")
        pairs = [("a-b", "c"), ("a", "b-c"), ("a.b", "c"), ("a", "b.c"), ("a=2Eb", "c"), ("ä", "c"), ("=C3=A4", "c")]
        names = {routes.channels(*pair)[0] for pair in pairs}
        self.assertEqual(len(names), len(pairs))

    def test_blank_lines_and_comments_are_skipped(self) -> None:
        routes = parse("\n\n  # news\n  blog/articles = news  \n\n")
        self.assertEqual(routes.channels("blog", "articles"), ["news"])

    def test_only_mapped_buckets_are_concerned(self) -> None:
        routes = parse("blog/articles = news")
        self.assertTrue(routes.concern("blog"))
        self.assertFalse(routes.concern("shop"))
        self.assertTrue(parse("*/articles = news").concern("shop"))


class Escaping(unittest.TestCase):
    def test_usual_ids_stay_as_they_are(self) -> None:
        self.assertEqual(escape("A-z_09"), "A-z_09")

    def test_everything_else_becomes_octets(self) -> None:
        self.assertEqual(escape("a/b=é"), "a=2Fb=3D=C3=A9")


class Errors(unittest.TestCase):
    def refused(self, text: str) -> str:
        with self.assertRaises(ChannelsError) as caught:
            parse(text)
        return str(caught.exception)

    def test_the_line_is_named_and_shown(self) -> None:
        message = self.refused("blog/articles = news\nblog = x")
        self.assertTrue(message.startswith("line 2 ('blog = x'): left of `=`"), message)

    def test_wrong_lines(self) -> None:
        for line, why in {
            "blog/articles": "expected",
            "blog/a/b = x": "left of",
            "/articles = x": "left of",
            "blog/ = x": "left of",
            "blog/art* = x": "neither an id nor",
            "blog/a b = x": "neither an id nor",
            "blog/articles =": "right of",
            "blog/articles = ..": "right of",
            "blog/articles = {colection}": "only placeholders",
            "blog/articles = {bucket": "only placeholders",
            "blog/articles = a/b": "neither `/`",
            "blog/articles = a\x07b": "neither `/`",
            "blog/articles = " + "x" * 1025: "at most 1024",
            "blog/* = {bucket}{collection}": "between the placeholders",
            "blog/* = {bucket}-{collection}": "between the placeholders",
            "blog/* = {bucket}.{collection}_{bucket}": "between the placeholders",
        }.items():
            with self.subTest(line=line):
                self.assertIn(why, self.refused(line))

    def test_a_line_twice(self) -> None:
        self.assertIn("line 1 says the same", self.refused("a/b = c\na/b=c"))

    def test_no_line(self) -> None:
        self.assertIn("no line", self.refused("# nothing"))


if __name__ == "__main__":
    unittest.main()
