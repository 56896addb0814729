"""COCO-format data: layouts, what is left out, what is refused and how the message reads."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from training.data.coco import DataError, load_split, read_coco, read_karpathy

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"

CONTENT: dict[str, Any] = {
    "images": [
        {"id": 7, "file_name": "b.jpg"},
        {"id": 3, "file_name": "a.jpg"},
        {"id": 9, "file_name": "uncaptioned.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "caption": " A  dog.\n"},
        {"id": 2, "image_id": 3, "caption": "A cat."},
        {"id": 3, "image_id": 7, "caption": "The dog."},
        {"id": 4, "image_id": 7, "caption": "  "},
    ],
}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(content) if not isinstance(content, str) else content, encoding="utf-8"
    )
    return path


@pytest.mark.parametrize(
    ("annotations", "pictures"),
    [
        ("annotations/captions_train.json", "images"),
        ("annotations/captions_train2017.json", "train2017"),
        ("annotations/captions_train2017.json", "images/train2017"),
        ("annotations/captions_train2014.json", "train2014"),
        ("cocoapi/annotations/captions_train2017.json", "cocoapi/images/train2017"),
    ],
)
def test_layouts(tmp_path: Path, annotations: str, pictures: str) -> None:
    root = tmp_path / "mydata"
    write(root / annotations, CONTENT)
    (root / pictures).mkdir(parents=True)
    data = load_split(root, "train")
    assert data.name == "mydata/train"
    assert [image.image_id for image in data.images] == [3, 7]
    assert data.images[1].path == root / pictures / "b.jpg"
    assert data.images[1].references == ("A dog.", "The dog.")
    assert data.captions == ["A cat.", "A dog.", "The dog."]


def test_karpathy(tmp_path: Path) -> None:
    def entry(number: int, split: str) -> dict[str, Any]:
        sentences = [{"raw": f"caption of {number}", "tokens": []}]
        return {
            "imgid": number,
            "split": split,
            "filename": f"{number}.jpg",
            "filepath": "val2014",
            "sentences": sentences,
        }

    entries = [entry(1, "train"), entry(2, "restval"), entry(3, "val"), entry(4, "test")]
    write(tmp_path / "dataset_coco.json", {"images": entries})
    (tmp_path / "images" / "val2014").mkdir(parents=True)
    (tmp_path / "images" / "val2014" / "3.jpg").touch()
    assert [image.image_id for image in load_split(tmp_path, "train").images] == [1, 2]
    [image] = load_split(tmp_path, "val").images
    assert image.path == tmp_path / "images" / "val2014" / "3.jpg"
    assert image.references == ("caption of 3",)
    assert [image.image_id for image in load_split(tmp_path, "test").images] == [4]


def changed(section: str, index: int, field: str, value: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(CONTENT))
    if value is None:
        del content[section][index][field]
    else:
        content[section][index][field] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON: .* line 1 column 2"),
        ("[]", "the top level must be an object, got list"),
        ({"images": []}, "`annotations` must be a list"),
        ({"annotations": []}, "`images` must be a list"),
        (changed("annotations", 1, "caption", None), r"annotations\[1\]: `caption` must be text"),
        (changed("annotations", 2, "caption", 5), r"annotations\[2\]: `caption` .* got 5"),
        (changed("annotations", 0, "image_id", "x"), r"annotations\[0\]: `image_id` must be a num"),
        (changed("images", 1, "file_name", None), r"images\[1\]: `file_name` must be text"),
        (changed("annotations", 1, "image_id", 99), "annotation 2 is about image 99"),
        ({"images": [], "annotations": []}, "no captioned picture"),
        (changed("images", 1, "id", 7), r"images\[1\]: a second picture with id 7"),
        (changed("images", 0, "id", True), r"images\[0\]: `id` must be a number, got True"),
        (changed("annotations", 0, "caption", "\ud800"), r"annotations\[0\]: .* half a character"),
        ('{"images": ' + "9" * 5000 + "}", "not JSON: "),
        ("[" * 100_000, "not JSON: "),
        ('\ufeff{"images": []}', "not JSON: "),
    ],
)
def test_broken_annotations_name_file_entry_and_reason(
    tmp_path: Path, content: Any, message: str
) -> None:
    path = write(tmp_path / "captions.json", content)
    with pytest.raises(DataError, match=message) as caught:
        read_coco(path, [tmp_path])
    assert "captions.json" in str(caught.value)


def test_wrong_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_bytes('{"caption": "Straße"}'.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8 at byte 17"):
        read_coco(path, [tmp_path])


def test_sixteen_bit_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_bytes(json.dumps(CONTENT).encode("utf-16"))
    with pytest.raises(DataError, match="not UTF-8 at byte 0"):
        read_coco(path, [tmp_path])


def test_what_captions_do_not_need_may_be_anything(tmp_path: Path) -> None:
    content = {**CONTENT, "categories": [{"name": "dog"}], "info": None, "licenses": 3}
    path = write(tmp_path / "captions.json", content)
    assert [image.image_id for image in read_coco(path, [tmp_path])] == [3, 7]


def karpathy(**changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "imgid": 4,
        "split": "train",
        "filename": "a.jpg",
        "sentences": [{"raw": "A  cat.\n"}, {"raw": " "}],
        **changes,
    }
    return {"images": [{k: v for k, v in entry.items() if v is not None}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "not a Karpathy data set: `images` must be a list"),
        ({"images": {}}, "`images` must be a list"),
        ({"images": [4]}, r"images\[0\]: `split` must be text"),
        (karpathy(imgid="4"), r"images\[0\]: `imgid` must be a number, got '4'"),
        (karpathy(filename=None), r"images\[0\]: `filename` must be text, got None"),
        (karpathy(filepath=3), r"images\[0\]: `filepath` must be text, got 3"),
        (karpathy(sentences=None), r"images\[0\]: `sentences` must be a list, got None"),
        (karpathy(sentences=["A cat."]), r"images\[0\]: `raw` must be text"),
        (karpathy(sentences=[{"raw": "\udfff"}]), r"images\[0\]: `raw` holds half a character"),
        (karpathy(sentences=[]), "no captioned picture"),
        (karpathy(split="val"), "no captioned picture"),
        ({"images": karpathy()["images"] * 2}, "two pictures have the id 4"),
    ],
)
def test_broken_karpathy_files_name_file_entry_and_reason(
    tmp_path: Path, content: Any, message: str
) -> None:
    path = write(tmp_path / "dataset_x.json", content)
    with pytest.raises(DataError, match=message) as caught:
        read_karpathy(path, "train")
    assert "dataset_x.json" in str(caught.value)


def test_karpathy_captions_without_text_are_left_out(tmp_path: Path) -> None:
    [image] = read_karpathy(write(tmp_path / "dataset_x.json", karpathy()), "train")
    assert image.references == ("A cat.",)
    write(tmp_path / "dataset_x.json", karpathy(filename="a" * 5000, filepath="\0"))
    assert len(load_split(tmp_path, "train")) == 1


def test_missing_pictures_and_splits_are_named(tmp_path: Path) -> None:
    write(tmp_path / "annotations" / "captions_train.json", CONTENT)
    with pytest.raises(DataError, match="pictures were found in none of"):
        load_split(tmp_path, "train")
    with pytest.raises(DataError, match="no captions for the split 'val'"):
        load_split(tmp_path, "val")
    with pytest.raises(DataError, match="no such folder"):
        load_split(tmp_path / "nowhere", "val")


def test_a_caption_without_a_word_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = changed("annotations", 1, "caption", "\N{DOG FACE} … !")
    path = write(tmp_path / "captions.json", content)
    assert [image.image_id for image in read_coco(path, [tmp_path])] == [7]
    assert caplog.messages == ["captions.json: left out 2 captions without a word"]
    path = write(tmp_path / "dataset_x.json", karpathy(sentences=[{"raw": "..."}]))
    with pytest.raises(DataError, match="no captioned picture"):
        read_karpathy(path, "train")


UNPARTED = {
    "Chinese": ["一只狗在草地上奔跑", "一只猫坐在桌子上。", "男孩在玩滑板,旁边有一条狗"],
    "Japanese": ["草の上を走る犬", "机に座る猫", "スケートボードに乗る少年。"],
    "Thai": ["สุนัขวิ่งบนหญ้า", "แมวนั่งบนโต๊ะ", "เด็กผู้ชายเล่นสเก็ตบอร์ด"],
    "Khmer": ["ឆ្កែរត់លើស្មៅ", "ឆ្មាអង្គុយលើតុ"],
}
PARTED = {
    "Chinese": ["一只 狗 在 草地 上 奔跑", "一只 猫 坐 在 桌子 上 。"],
    "Japanese": ["草 の 上 を 走る 犬", "スケートボード に 乗る 少年 。"],
    "Thai": ["สุนัข วิ่ง บน หญ้า", "เด็กผู้ชาย เล่น สเก็ตบอร์ด"],
    "labels": ["狗", "自行车", "猫"],
    "Korean": ["개가 잔디 위를 달린다", "고양이가 책상에 앉아 있다"],
    "Hindi": ["एक कुत्ता घास पर दौड़ रहा है", "एक बिल्ली"],
    "German": ["Ein Hund läuft über die Straße", "Donaudampfschifffahrtsgesellschaft"],
    "English with a sign": ["A sign that says 欢迎光临北京欢迎你", *["A dog runs."] * 20],
}


def captioned(root: Path, captions: list[str]) -> Path:
    (root / "images").mkdir(parents=True)
    numbers = range(len(captions))
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in numbers],
        "annotations": [{"id": i, "image_id": i, "caption": captions[i]} for i in numbers],
    }
    write(root / "annotations" / "captions_train.json", content)
    return root


@pytest.mark.parametrize("language", UNPARTED)
def test_captions_without_blanks_between_words_are_named(tmp_path: Path, language: str) -> None:
    captions = UNPARTED[language]
    root = captioned(tmp_path / "mine", captions)
    count = len(captions)
    with pytest.raises(DataError, match=rf"^mine/train: {count} of {count} captions are in a") as e:
        load_split(root, "train")
    assert captions[0] in str(e.value) and "blanks between the words" in str(e.value)
    mixed = captioned(tmp_path / "mixed", [*captions, *["A dog runs."] * 8])
    with pytest.raises(DataError, match=rf"mixed/train: {count} of {count + 8} captions"):
        load_split(mixed, "train")


@pytest.mark.parametrize("language", PARTED)
def test_captions_with_blanks_between_words_are_words(tmp_path: Path, language: str) -> None:
    assert load_split(captioned(tmp_path, PARTED[language]), "train").captions == PARTED[language]


def several_layouts(root: Path) -> Path:
    """COCO's own files and Karpathy's, which call the same picture `val` and `train`."""
    captioned(root, ["A dog."])
    for year, split in (("2017", "train"), ("2014", "val")):
        write(root / "annotations" / f"captions_{split}{year}.json", CONTENT)
        (root / f"{split}{year}").mkdir()
    write(root / "dataset_x.json", karpathy(split="test"))
    return root


def test_of_several_layouts_one_must_be_named(tmp_path: Path) -> None:
    root = several_layouts(tmp_path)
    for split in ("train", "val", "test"):
        with pytest.raises(DataError, match="in several layouts, whose splits may share") as error:
            load_split(root, split)
        assert "2017, 2014, plain, dataset_x.json; name one with --layout" in str(error.value)
    with pytest.raises(DataError, match="with --layout, not '2015'"):
        load_split(root, "train", "2015")


@pytest.mark.parametrize(
    ("layout", "splits"),
    [("2017", {"train": 2}), ("2014", {"val": 2}), ("plain", {"train": 1}),
     ("dataset_x.json", {"test": 1})],
)  # fmt: skip
def test_all_splits_are_of_the_layout_that_is_named(
    tmp_path: Path, layout: str, splits: dict[str, int]
) -> None:
    root = several_layouts(tmp_path)
    for split in ("train", "val", "test"):
        if split in splits:
            assert len(load_split(root, split, layout)) == splits[split]
        else:
            with pytest.raises(DataError, match=r"no captions for the split|no captioned picture"):
                load_split(root, split, layout)


def test_a_folder_with_one_layout_needs_no_name(shapes: Path) -> None:
    assert load_split(shapes, "val", "2017") == load_split(shapes, "val")


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data")
def test_the_official_file_and_layouts() -> None:
    assert len(read_coco(SHARED / "captions_val2017.json", [SHARED])) == 5000
    assert len(load_split(SHARED / "coco-mini", "train")) == 80
    assert len(load_split(SHARED / "coco-mini", "val")) == 79
    flickr = load_split(SHARED / "flickr8k", "val")
    assert len(flickr) == 1000
    assert len(flickr.captions) == 5000


def test_pictures_folder_is_the_first_that_exists(tmp_path: Path, shapes: Path) -> None:
    shutil.copytree(shapes, tmp_path / "copy")
    assert load_split(tmp_path / "copy", "val").images[0].path.is_file()
