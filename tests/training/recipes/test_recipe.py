"""Recipes and overrides."""

import json
from pathlib import Path

import pytest

from models.registry import METHODS
from training.recipes.recipe import RecipeError, load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_of_a_method_and_has_its_name_where_there_is_one(name: str) -> None:
    method = load_recipe(name).method
    assert method in METHODS
    assert method == name or name not in METHODS


def test_the_recipes_that_the_readme_tells_of_are_there() -> None:
    assert {"compact", "tf-tutorial", "keras-example", "vit-gpt2", "scst"} <= {*recipe_names()}


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_says_what_it_is_for(name: str) -> None:
    assert load_recipe(name).about.endswith((".", "--init."))


def test_a_recipe_without_a_method_says_so(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text("{}")
    with pytest.raises(RecipeError, match="method: the recipe lacks this field"):
        load_recipe(str(path))


def test_overrides_reach_inside() -> None:
    recipe = load_recipe(
        "compact", ["epochs=2", "augmentation.flip=0", "model.backbone=tiny", "bf16=off"]
    )
    assert recipe.epochs == 2
    assert recipe.augmentation.flip == 0
    assert recipe.augmentation.min_crop == load_recipe("compact").augmentation.min_crop
    assert recipe.model == {"backbone": "tiny"}


def test_recipe_file_is_what_a_run_writes(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(load_recipe("tf-tutorial", ["seed=5"]).model_dump_json())
    assert load_recipe(str(path)) == load_recipe("tf-tutorial", ["seed=5"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["epochs"], "key=value"),
        (["epoch=3"], "epoch: a recipe has no such field; did you mean epochs"),
        (["learning_rate=-1"], "learning_rate: .* got -1"),
        (["label_smoothing=high"], "label_smoothing: .* got 'high'"),
        (["augmentation.spin=1"], r"augmentation\.spin: a recipe has no such field"),
        (['why={"epoch": "few"}'], "why explains 'epoch', which is no field of a recipe"),
        (["epochs.x=1"], r"epochs\.x: nothing to set"),
    ],
)
def test_bad_overrides_name_the_field(overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("compact", overrides)


def test_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(RecipeError, match="no recipe 'coco'; known: compact, keras-example"):
        load_recipe("coco")


def test_broken_recipe_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("{")
    with pytest.raises(RecipeError, match="not JSON"):
        load_recipe(str(path))
    path.write_text(json.dumps([1]))
    with pytest.raises(RecipeError, match="must be an object"):
        load_recipe(str(path))
