"""For each kind of constraint: values, answers that meet it, and answers that do not."""

# ruff: noqa: E501 - a table is read across

from __future__ import annotations

from typing import Any

Case = tuple[str, dict[str, Any], list[str], list[str]]

LENGTH: list[Case] = [
    ("words", {"min": 2, "max": 3}, ["two words", "- one two three"], ["one", "a b c d", "", "- -"]),
    ("words", {"min": 3, "max": 3}, ["나는 집에 간다.", "집에 - 간다 나는"], ["나는집에간다"]),
    ("characters", {"min": 3, "max": 5}, ["abc", "가나 다라"], ["ab", "abc def", ""]),
    ("characters", {"max": 4, "spaces": False}, ["가 나 다 라"], ["가 나 다 라 마"]),
    # A decomposed syllable is one character all the same.
    ("characters", {"min": 2, "max": 2}, ["\u1100\u1161\u1102\u1161"], ["\u1100\u1161"]),
    (
        "sentences",
        {"min": 2, "max": 2},
        [
            "It costs 3.5 dollars. Dr. Kim paid.",
            "가요. 와요!",
            "Really?! Yes.",
            '"Go." He went.',
            "She left at 5 p.m. and came back. Nobody saw it.",
        ],
        ["One.", "A. B. C.", "", "...", "wait... what... no. yes."],
    ),
    ("sentences", {"min": 3}, ["- one\n- two\n- three"], ["- one\n- two\n-", "one\ntwo"]),
    ("paragraphs", {"min": 2, "max": 2}, ["a b\nc\n\nd", "a\n  \nb"], ["a\nb", "a\n\nb\n\nc", "a\n\n---"]),
    ("lines", {"min": 2, "max": 2}, ["a\n\nb", "가\n나\n"], ["a", "a\nb\nc", "a\n---"]),
    ("each_line", {"max_words": 2}, ["a b\nc"], ["a b\nc d e", ""]),
    ("each_line", {"max_characters": 4}, ["가나 다라\n마"], ["가나 다라 마\n바"]),
    ("each_sentence", {"max_words": 3}, ["One two. Three four five!"], ["One two three four.", ""]),
    ("each_word", {"max": 4}, ["tiny \"word\" here."], ["enormous word", "", "- !"]),
]  # fmt: skip

WORDING: list[Case] = [
    ("contains", {"words": ["cat", "dog"]}, ["A Cat, a dog."], ["A cat.", "category dogma", ""]),
    ("contains", {"words": ["4 pm"]}, ["at 4  PM sharp"], ["at 14 pm", "4 pmx"]),
    ("contains", {"words": ["바다"]}, ["바다에서", "푸른바다"], ["바 다", "강"]),
    ("contains", {"words": ["AI"]}, ["AI는 빠르다"], ["said", "AIR"]),
    ("contains_any", {"words": ["salt", "salty"]}, ["so Salty"], ["basalt", ""]),
    ("excludes", {"words": ["blue"]}, ["bluebell", "green"], ["So BLUE.", "blue-green"]),
    ("excludes", {"words": ["물"]}, ["모래"], ["바닷물은"]),
    ("occurs", {"word": "dry", "min": 2, "max": 2}, ["Dry, dry!"], ["dry", "dry dry dry", "dryer dry"]),
    ("in_order", {"words": ["a1", "b2"]}, ["a1 then b2", "a1 b2 a1"], ["b2 a1", "a1", ""]),
    ("starts", {"phrase": "Well,"}, ["Well, yes", '"well, no"'], ["Oh well,", "Wellness", ""]),
    ("starts", {"phrase": "Rain"}, ["Rain fell", "rain"], ["Rainy days", "The rain"]),
    ("starts", {"phrase": "고향"}, ["고향에는"], ["내 고향"]),
    ("ends", {"phrase": "umbrella"}, ["Take an umbrella.", "umbrella"], ["umbrellas", "umbrella now", "", "myumbrella"]),
    ("ends", {"phrase": "You can do this."}, ["Go. You can do this."], ["You can do this", "You can do this. Bye."]),
    ("ends", {"phrase": "?"}, ["Really?", "정말요?\""], ["Really? Yes.", "", "Really"]),
    ("one_of", {"options": ["yes", "no"]}, ["Yes.", '"no"'], ["yes and no", "maybe", "Yes, because", ""]),
    ("repeats", {"phrase": "echo", "times": 3}, ["echo echo echo", "1. Echo\n2. echo\n3. echo"],
     ["echo echo", "echo echo echo echo", "echo echo echo there", ""]),
    ("all_different", {}, ["one two three"], ["the cat the dog", "Go, go!", ""]),
    ("all_different", {"unit": "points"}, ["- a\n- b"], ["- a\n- A", "a\nb"]),
    ("all_different", {"unit": "lines"}, ["a\nb"], ["a\na"]),
    ("all_different", {"unit": "openings"}, ["A b. C d."], ["The b. The d."]),
    ("chained", {}, ["기차\n차표\n표지", "기차\n차례\n예술", "쾌락\n낙원"], ["기차\n표지", "기차\n차이\n리본", "바다\n나라", "기차\n차기\n기차", "기차", ""]),
    ("copies", {"request": "Name it."}, ["Name it. A rose.", "name  it.\nRose"], ["Name it.", "A rose.", "Name that. Rose"]),
    ("copies", {"request": "Name it.", "answer": False}, ["Name it."], ["Name it. A rose.", ""]),
]  # fmt: skip

LAYOUT: list[Case] = [
    ("bullets", {"min": 2, "max": 2}, ["- a\n- b", "Here:\n* a\n• b", "- a\n    - deep\n- b"],
     ["- a", "-a\n-b", "1. a\n2. b", "- a\n- b\n- c", "**a**\n**b**", "- \n- "]),
    ("bullets", {"min": 2, "only": True}, ["- a\n- b"], ["Sure:\n- a\n- b"]),
    ("numbered", {"min": 2, "max": 2}, ["1. a\n2. b", "1) a\n2) b"], ["1. a\n1. b", "2. a\n3. b", "- a\n- b", "1. a\n3. b", ""]),
    ("numbered", {"min": 2, "only": True}, ["1. a\n2. b"], ["1. a\n2. b\nDone!"]),
    ("headings", {"level": 2, "min": 2, "max": 2}, ["## a\nx\n## b\ny"], ["# a\n# b", "## a", "##a\n##b", "### a\n### b"]),
    ("sections", {"names": ["Pros", "Cons"]}, ["## Pros\na\n## Cons\nb", "**Pros:**\na\n\nCons:\nb", "1. PROS\na\n2. CONS\nb"],
     ["Pros\nCons\na", "Cons\na\nPros\nb", "Pros\na\nCons", "Pros and Cons\na", ""]),
    ("sections", {"names": ["Pros", "Cons"], "points": 2}, ["Pros\n- a\n- b\nCons\n- c\n    - deep\n- d"],
     ["Pros\n- a\n- b\n- c\nCons\n- d", "Pros\na\nCons\nb"]),
    ("bold", {"min": 1, "max": 1}, ["a **b c** d"], ["a b", "**a** **b**", "** a **", "**a"]),
    ("bold", {"min": 1, "italic": True}, ["an *odd* one"], ["a **bold** one", "2 * 3 * 4"]),
    ("title", {}, ["<<A Title>>\ntext", "text\n<<A>>"], ["<A>", "<<>>", "<< >>", "«A»"]),
    ("title", {"first": True}, ["<<A>>\nb"], ["Here: <<A>>"]),
    ("quoted", {}, ['"Hello there."', "“안녕”"], ['He said "hello"', '"Hello', "'Hello'", '""', ""]),
    ("placeholders", {"min": 2}, ["Dear [name], on [date]"], ["Dear [name] and [Name]", "[link](url) [x]", "[] [ ]", "(name) (date)"]),
    ("postscript", {"marker": "P.S."}, ["Bye.\n\nP.S. Call me", "a\n**P.S.** Call me"], ["P.S. only this", "Bye. P.S. inline", "Bye.\nP.S.", "Bye."]),
    ("parts", {"separator": "***", "count": 2}, ["a\n***\nb"], ["a", "a\n***", "a\n***\nb\n***\nc", "a\n******\nb"]),
    ("labelled", {"labels": ["Name", "Age"]}, ["Name: Bo\nAge: 3", "**Name:** Bo\n**Age:** 3", "- name: Bo\n- age: 3"],
     ["Age: 3\nName: Bo", "Name: Bo", "Name:\nAge: 3", "Here!\nName: Bo\nAge: 3"]),
    ("hashtags", {"min": 2, "max": 2}, ["x #one #two", "#하나 #둘"], ["#one #ONE", "# one # two", "a#b c#d", "#1 #2", "#a #b #c"]),
    ("plain", {}, ["Just text - with a dash."], ["**bold**", "# head", "- point", "1. point", "`code`", ""]),
]  # fmt: skip

STRUCTURED: list[Case] = [
    ("json_object", {"keys": {"a": "whole", "b": "text"}}, ['{"a": 1, "b": "x"}', '```json\n{"b": "x", "a": 1}\n```'],
     ['{"a": "1", "b": "x"}', '{"a": true, "b": "x"}', '{"a": 1}', '{"a": 1, "b": "x", "c": 2}', "{'a': 1, 'b': 'x'}",
      'Sure: {"a": 1, "b": "x"}', '{"a": 1, "b": ""}', '{"a": 1, "a": 2, "b": "x"}', "[1]", "", "{" * 5000, '{"a": 1.5, "b": "x"}']),
    ("json_object", {"keys": {"a": "number"}, "values": {"a": [180]}}, ['{"a": 180}', '{"a": 180.0}'], ['{"a": 3}', '{"a": NaN}', '{"a": Infinity}']),
    ("json_object", {"keys": {"a": "list"}, "lengths": {"a": 2}}, ['{"a": [1, 2]}'], ['{"a": [1]}', '{"a": "xy"}']),
    ("json_object", {"keys": {"a": "yes_no"}}, ['{"a": false}'], ['{"a": 0}', '{"a": "false"}', '{"a": null}']),
    ("json_list", {"of": "text", "min": 2, "max": 2}, ['["a", "b"]'], ['["a"]', '["a", 1]', '{"a": "b"}', '["a", "b"] done', ""]),
    ("json_list", {"of": "object", "min": 1, "keys": {"t": "text"}}, ['[{"t": "x"}]'], ['[{"t": 1}]', '[{"u": "x"}]', "[]", '["t"]']),
    ("table", {"columns": 2, "min": 1}, ["| a | b |\n|---|---|\n| c | d |", "Here:\n\n|a|b|\n|:-|-:|\n|c|d|"],
     ["| a | b |\n| c | d |\n| e | f |", "| a | b |\n|---|---|", "a | b", "| a | b |\n|---|---|\n| c | d | e |", "| a | b |\n|---|---|\n| | |", ""]),
    ("table", {"columns": 2, "min": 1, "header": ["A", "B"]}, ["| a | **B** |\n|---|---|\n| c | d |"], ["| b | a |\n|---|---|\n| c | d |"]),
    ("csv", {"columns": 2, "min": 2, "max": 2, "header": ["x", "y"]}, ["x,y\n1,2\n3,4", '```csv\nx,y\n"a, b",2\n3,4\n```'],
     ["1,2\n3,4", "x,y\n1,2", "x,y\n1,2\n3", "Here is it:\nx,y\n1,2\n3,4", "x,y\n1,\n3,4", ""]),
    ("csv", {"columns": 2, "min": 1}, ["1,2"], ["1;2", '"1,2']),
    ("code", {"language": "python", "contains": ["def f"]}, ["```python\ndef f():\n    return 1\n```", "Sure:\n```python\ndef f(): pass\n```"],
     ["def f(): pass", "```python\ndef f(:\n```", "```\ndef f(): pass\n```", "```python\nprint(1)\n```",
      "```python\ndef f(): pass\n```\n```python\nx = 1\n```", "```python\ndef f(): pass", "```python\n" + "(" * 3000 + "def f\n```"]),
]  # fmt: skip

LETTERS: list[Case] = [
    ("language", {"is_": "ko"}, ["안녕하세요", "GPU는 빠른 계산 장치입니다", "42"], ["Hello there", "こんにちは、元気ですか", "Привет, как дела"]),
    ("language", {"is_": "en"}, ["Hello there", "Kimchi (김치) is a dish of cabbage and chili."], ["안녕하세요 여러분", "你好,今天天气很好"]),
    ("only", {"scripts": ["hangul"]}, ["안녕!", "가 나"], ["안녕 hi", "안녕 1", "", "!?", "ㅋㅋ"]),
    ("only", {"scripts": ["latin", "digits"]}, ["Room 7"], ["Zimmer für", "방 7"]),
    ("upper", {}, ["STOP 4 U!"], ["Stop", "42", "", "가나다"]),
    ("lower", {}, ["stop it."], ["Stop", "42", "iPhone"]),
    ("title_case", {}, ["The End of the World", "42 Is the Answer", "“A Day”"], ["The end", "the End", "An end In Sight", ""]),
    ("capital_words", {"min": 1, "max": 1}, ["STOP now"], ["I go", "STOP NOW", "Stop"]),
    ("without", {"characters": ","}, ["a b"], ["a, b", ""]),
    ("without", {"characters": "e"}, ["A cat sat"], ["The end", "EVE"]),
    ("without", {"sets": ["digits"]}, ["one"], ["1"]),
    ("without", {"sets": ["latin"]}, ["한글 123"], ["한글 abc", "ABC"]),
    ("count_of", {"character": "?", "min": 2, "max": 2}, ["a? b?"], ["a?", "a??? b"]),
    ("count_of", {"character": "a", "min": 2}, ["A cat"], ["cut"]),
    ("emoji", {"min": 2, "max": 2}, ["🎉 😊", "👍🏽👩‍👩‍👧", "❤️⭐", "🇰🇷🎉", "1️⃣⏰"], ["🎉", "🇰🇷", "🎉🎉🎉", ":) :)", ""]),
    ("acrostic", {"letters": ["S", "U"]}, ["Soft light\nUnder it", "S: Soft light\nU: Under it", "**S**oft light\n**U**nder it"],
     ["Soft\nOver", "Soft light", "Soft\nUnder\nNever", "S\nU", ""]),
    ("acrostic", {"letters": ["가", "을"]}, ["가만히 본다\n을씨년스럽다", "가: 가만히 본다\n을: 을지로에서"], ["나는\n을지로", "가을에 본다"]),
    ("initials", {"letter": "b"}, ["Big bears, baking!"], ["Big old bears", "", "!"]),
    ("initials", {"letter": "ㄱ"}, ["강가 고양이"], ["강가 나무", "까만 강"]),
    ("numbers", {"min": 3, "max": 3, "low": 1, "high": 9, "order": "rising", "only": True}, ["1, 5, 9", "1\n2\n3"],
     ["1 5", "5 1 9", "1 5 10", "one 1 5 9", "1 1 2", ""]),
    ("numbers", {"min": 2, "order": "falling"}, ["from 1,000 to 3.5"], ["3 4", "3"]),
    ("numbers", {"parity": "even"}, ["12, 18"], ["12 13"]),
    ("numbers", {"parity": "odd"}, ["11, -3"], ["12 13", "1.5"]),
    ("clock_time", {}, ["9:00", "at 9 a.m.", "at 7pm", "오후 3시에", "정오", "two o'clock 2 o'clock"],
     ["Morning: eat", "9 apples", "9시간", "ratio 1:2", "25:00", ""]),
    ("sorted", {}, ["- apple\n- Banana", "가\n나\n다"], ["b\na", "a", "나\n가", ""]),
    ("sorted", {"separator": ","}, ["a, b, c."], ["a, c, b"]),
    ("sorted", {"falling": True}, ["c\nb"], ["b\nc"]),
]  # fmt: skip

KOREAN: list[Case] = [
    ("register", {"level": "formal"}, ["갑니다. 갑니까?", "함께 갑시다! 오십시오.", "감사합니다 :) "],
     ["가요.", "갑니다. 그래요.", "아니다.", "Thank you.", "그러니까.", ""]),
    ("register", {"level": "friendly"}, ["가요. 그렇죠?", "좋네요~ ㅎㅎ", "(맞아요)"], ["갑니다.", "꼭 필요.", "가.", "가요. 간다."]),
    ("register", {"level": "polite"}, ["가요. 갑니다.", "OK! 좋아요."], ["가요. 가자.", "이것이 중요", "아니다."]),
    ("register", {"level": "casual"}, ["뭐 해? 밥 먹었어.", "빨리 와!", "나 간다.", "그렇게 하자. 좋지?", "나야."],
     ["뭐 해요?", "갑니다.", "뭐 해? 나 가요.", "사과, 배, 감", ""]),
    ("register", {"level": "casual"}, ["안녕! 오랜만이야.", "산책 나가자, 응?", "와! 좋다.", "우리 콩이! 가자."],
     ["안녕하세요! 오랜만이야.", "응? 가요.", "가요, 응?"]),
    ("register", {"level": "polite"}, ["안녕하세요, 고객님. 감사합니다.", "안녕하세요.", "할머니! 잘 계셨어요?"],
     ["안녕! 반갑습니다.", "고객님, 확인해 볼게."]),
    ("register", {"level": "formal"}, ["안녕하세요. 곧 갑니다."], ["안녕하세요. 곧 가요."]),
    ("register", {"level": "plain"}, ["비가 왔다.", "가자. 가는가?"], ["비가 왔어.", "비가 왔습니다.", "다."]),
    ("register", {"level": "nominal"}, ["예산을 정함.\n담당자 없음", "- 운동하기\n- 책 읽기"], ["예산을 정했다.", "운동해요.", ""]),
]  # fmt: skip

PARTS: list[Case] = [
    ("every", {"unit": "sentences", "check": {"kind": "contains", "words": ["cat"]}}, ["A cat. Cat!"], ["A cat, a cat. A dog.", ""]),
    ("every", {"unit": "points", "check": {"kind": "words", "max": 2}}, ["These are long:\n- a b\n- c", "1. a"], ["- a b c", "a"]),
    ("first", {"unit": "words", "check": {"kind": "upper"}}, ["STOP: now"], ["Stop NOW", ""]),
    ("first", {"unit": "lines", "check": {"kind": "upper"}}, ["A B\nc"], ["a\nB"]),
]  # fmt: skip

CASES: list[Case] = [*PARTS, *LENGTH, *WORDING, *LAYOUT, *STRUCTURED, *LETTERS, *KOREAN]
