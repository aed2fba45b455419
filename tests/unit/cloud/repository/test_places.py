from secondlook.cloud.repository.places import Places, line_of_bad_escape

TEXT = """\
name: "a"  # name: "in a comment"
input [
  { name: "x{" dims: [1,
     -5] },
  { name: "y"
    dims: 3
    dims: 4 }
]
output { name: "o" } output <
  name: 'p' >
parameters { key: "objective_ms" value: { string_value: "5" } }
parameters {
  key: "a.b"
  value { string_value: "5" } }
dynamic_batching { preferred_batch_size: [ 2,
 4 ] }
max_batch_size: 3
"""


def test_every_field_has_its_line() -> None:
    places = Places(TEXT)
    lines = {
        "name": 1,
        "input[0].name": 3,
        "input[0].dims[1]": 4,
        "input[1].name": 5,
        "input[1].dims": 6,
        "input[1].dims[1]": 7,
        "output[0]": 9,
        "output[1].name": 10,
        "parameters[objective_ms]": 11,
        "parameters[a.b]": 13,
        "dynamic_batching": 15,
        "dynamic_batching.preferred_batch_size[1]": 16,
        "max_batch_size": 17,
    }
    assert {field: places.line(field) for field in lines} == lines


def test_what_is_not_written_has_the_line_of_what_is_around_it() -> None:
    places = Places(TEXT)
    assert places.line("input[1].data_type") == 5
    assert places.line("version_policy.specific") is None


def test_a_key_of_a_map_that_is_there_twice_is_found() -> None:
    twice = 'parameters { key: "k" value {} }\nparameters { key: "k" value {} }'
    assert Places(twice).doubled == [("parameters[k]", 2)]
    assert Places(TEXT).doubled == []


def test_what_is_written_with_its_default_is_written() -> None:
    assert Places("max_batch_size: 0").has("max_batch_size")
    assert not Places("input { name: 'max_batch_size' }").has("max_batch_size")


def test_escapes_that_are_none() -> None:
    good = r"""name: "\n\t\\ \' \" \x4f \101 \7 \u00e9 \U0001F600 'q'" # \q"""
    assert line_of_bad_escape(good) is None
    for bad in (r"\q", r"\777", r"\400", r"\u12", r"\x", r"\8"):
        assert line_of_bad_escape(f'a: 1\nname: "{bad}"') == 2
