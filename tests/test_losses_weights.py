"""Where loss weights are found: names, partial files, torchvision's files, damage; layers against torchvision."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fst.errors import UserError
from fst.losses import cut, names
from fst.losses import weights as loss_weights
from fst.losses.vgg import VGGFeatures, tensor_shapes
from fst.losses.weights import PINNED, load_features, load_weights

PARTIAL = "vgg16_conv1_1-conv3_3.safetensors"


def tensors(convolutions: int, architecture: str = "vgg16") -> dict[str, Tensor]:
    """Tensors of the right names and shapes, each filled with its number; torch.save writes that number once."""
    found = {}
    for layer in names.layer_names(architecture)[:convolutions]:
        number = torch.tensor(float(names.convolution_number(layer, architecture)))
        found |= {name: number.expand(shape) for name, shape in tensor_shapes([layer], architecture).items()}
    return found


def save_safetensors(path: Path, convolutions: int) -> None:
    save_file({name: tensor.half().contiguous() for name, tensor in tensors(convolutions).items()}, path)


def as_published(monkeypatch, architecture: str, source: str, file: Path) -> None:
    """As if the file were the one that torchvision publishes under that name."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(PINNED, (architecture, source), (file.name, digest, file.stat().st_size))


@pytest.fixture
def weights(offline: Path) -> Path:
    """The weights folder of an empty store, on a machine without a network."""
    return offline / "weights"


def refusal(*arguments: object, **settings: object) -> str:
    with pytest.raises(UserError) as error:
        load_weights(*arguments, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_layer_numbers_and_shapes_are_torchvisions(architecture) -> None:
    import torchvision

    with torch.device("meta"):
        network = getattr(torchvision.models, architecture)(weights=None)
    block, index, numbers, shapes = 1, 0, {}, {}
    for number, module in enumerate(network.features):
        if isinstance(module, torch.nn.MaxPool2d):
            block, index = block + 1, 0
        elif isinstance(module, torch.nn.Conv2d):
            index += 1
            numbers[f"relu{block}_{index}"] = number
            shapes[f"relu{block}_{index}"] = tuple(module.weight.shape)
    layers = names.layer_names(architecture)
    assert {layer: names.convolution_number(layer, architecture) for layer in layers} == numbers
    weights = {f"features.{numbers[layer]}.weight": shape for layer, shape in shapes.items()}
    found = tensor_shapes(layers, architecture)
    assert {name: shape for name, shape in found.items() if name.endswith("weight")} == weights
    assert {name: shape for name, shape in found.items() if name.endswith("bias")} == {
        name.replace("weight", "bias"): shape[:1] for name, shape in weights.items()
    }


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_features_are_torchvisions(architecture) -> None:
    """The same weights in torchvision's own module, up to the third block's last ReLU."""
    import torchvision

    with torch.device("meta"):
        network = getattr(torchvision.models, architecture)(weights=None)
    last = names.layer_names(architecture)[6 if architecture == "vgg16" else 7]
    theirs = network.features[: names.convolution_number(last, architecture) + 2].to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for parameter in theirs.parameters():
        parameter.data.normal_(0, 0.05, generator=generator)
    state = {f"features.{name}": tensor for name, tensor in theirs.state_dict().items()}
    image = torch.rand(1, 3, 20, 26, generator=generator)
    ours = VGGFeatures([last], state, architecture=architecture, normalisation="imagenet")(image, [last])[last]
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert torch.allclose(ours, theirs((image - mean) / std), rtol=1e-4, atol=1e-5)


def test_pinned_files_are_torchvisions() -> None:
    import torchvision

    published = {
        (name, entry.name): entry
        for name, enum in (("vgg16", torchvision.models.VGG16_Weights), ("vgg19", torchvision.models.VGG19_Weights))
        for entry in enum
    }
    assert (
        set(PINNED)
        == set(published)
        == {(a, name) for a, known in names.WEIGHTS.items() for name in known if a != names.SMALL}
    )
    for key, (file, digest, size) in PINNED.items():
        assert published[key].url == f"https://download.pytorch.org/models/{file}"
        assert digest in file and len(digest) == 8
        assert size == pytest.approx(published[key].meta["_file_size"] * 2**20, rel=1e-3)


def test_a_partial_file_in_the_store_is_enough_where_it_reaches(weights) -> None:
    save_safetensors(weights / PARTIAL, 7)
    found = load_weights("IMAGENET1K_FEATURES", ["relu3_3", "relu1_2"])
    assert found["features.14.weight"].flatten()[0] == 14


def test_of_partial_files_the_deepest_is_taken(weights) -> None:
    for convolutions in (4, 7, 2):
        save_safetensors(weights / f"vgg16_to_{convolutions}.safetensors", convolutions)
    assert set(load_weights("IMAGENET1K_FEATURES", ["relu3_3"])) == set(tensors(7))


def test_a_partial_file_that_ends_too_early_is_named_with_the_layer_and_the_way_out(weights) -> None:
    save_safetensors(weights / PARTIAL, 7)
    text = refusal("IMAGENET1K_FEATURES", ["relu4_3", "relu1_2"])
    assert text.startswith(f"{PARTIAL} reaches relu3_3, but the loss asks for relu4_3: use loss=vgg16_relu3 (")
    assert "553 MB" in text and "Name or service not known" in text
    assert not list(weights.glob("*.pth")), "nothing half downloaded is left"


def test_an_empty_store_without_a_network_says_what_is_wanted(weights) -> None:
    text = refusal("IMAGENET1K_FEATURES", ["relu4_3"])
    wanted = ("vgg16_features-amdegroot-88682ab5.pth", "553 MB", str(weights), "loss.weights=FILE", "loss=vgg16_small")
    for word in wanted:
        assert word in text


def test_a_file_of_ones_own_that_ends_too_early(tmp_path) -> None:
    path = tmp_path / "short.safetensors"
    save_safetensors(path, 4)
    text = refusal(str(path), ["relu3_1"])
    assert str(path) in text and "reaches relu2_2" in text and "relu3_1" in text
    assert "loss.style_layers" in text, "there is no named choice that ends at relu2_2"


@pytest.mark.parametrize(("source", "mean"), [("IMAGENET1K_FEATURES", 123.68 / 255), ("IMAGENET1K_V1", 0.485)])
@pytest.mark.parametrize("zipped", [True, False])
def test_torchvisions_files_in_the_store(weights, monkeypatch, source, mean, zipped) -> None:
    """The files of 2017 are in the format before zip; all hold the classifier's tensors too."""
    state = {**tensors(13), "classifier.0.weight": torch.zeros(1).expand(4096, 25088)}
    file = weights / PINNED["vgg16", source][0]
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    as_published(monkeypatch, "vgg16", source, file)
    features = load_features(["relu5_3"], source)
    assert [conv.weight.flatten()[0].item() for conv in features.convolutions[:3]] == [0, 2, 5]
    assert features.mean.flatten()[0].item() == pytest.approx(mean, rel=1e-6)


def test_vgg19(weights, monkeypatch) -> None:
    file = weights / PINNED["vgg19", "IMAGENET1K_V1"][0]
    torch.save(tensors(16, "vgg19"), file)
    as_published(monkeypatch, "vgg19", "IMAGENET1K_V1", file)
    found = load_weights("IMAGENET1K_V1", ["relu3_4"], architecture="vgg19")
    assert found["features.16.bias"][0] == 16


@pytest.mark.parametrize(("source", "near"), [("IMAGENET1K_FEATURE", "FEATURES"), ("IMAGENET1K_V2", "V1")])
def test_unknown_names_are_answered_with_near_ones(weights, source, near) -> None:
    assert f"did you mean 'IMAGENET1K_{near}'" in refusal(source, ["relu1_1"])


def test_missing_and_foreign_files(weights, tmp_path) -> None:
    assert "does not exist" in refusal(str(tmp_path / "none.pth"), ["relu1_1"])
    other = tmp_path / "other.safetensors"
    save_file({"layer.weight": torch.zeros(2)}, other)
    assert "holds no vgg16" in refusal(str(other), ["relu1_1"])
    for unnamed in (torch.zeros(2), [torch.zeros(2)]):
        torch.save(unnamed, tmp_path / "other.pth")
        assert "it holds no named tensors" in refusal(str(tmp_path / "other.pth"), ["relu1_1"])


def test_tensors_of_a_wrong_shape(tmp_path) -> None:
    path = tmp_path / "odd.pth"
    torch.save({**tensors(3), "features.2.weight": torch.zeros(64, 32, 3, 3)}, path)
    assert "features.2.weight is missing or misshapen" in refusal(str(path), ["relu1_2"])
    assert load_weights(str(path), ["relu1_1"]), "a layer that is not asked for does not matter"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02}q\x00.", b"PK\x03\x04" + bytes(64), b"\xff" * 4096])
def test_damaged_files(tmp_path, suffix, content) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    text = refusal(str(path), ["relu1_1"])
    assert str(path) in text and "weights_only" not in text, "torch's advice to load what may run code is left out"


def test_a_file_cut_short(tmp_path) -> None:
    whole = tmp_path / "whole.safetensors"
    save_safetensors(whole, 2)
    for suffix in (".safetensors", ".pth"):
        if suffix == ".pth":
            torch.save(tensors(2), tmp_path / "whole.pth")
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes((tmp_path / f"whole{suffix}").read_bytes()[:-1000])
        assert "damaged" in refusal(str(cut), ["relu1_2"])


def test_loading_runs_no_code(tmp_path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"features.0.weight": Trap()}, tmp_path / "trap.pth")
    refusal(str(tmp_path / "trap.pth"), ["relu1_1"])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("layer", "side"), [("relu1_2", 2), ("relu3_3", 8), ("relu5_1", 32)])
def test_the_smallest_side_leaves_four_features(layer, side) -> None:
    assert names.smallest_side(["relu1_1", layer]) == side
    edge = side
    for _ in range(int(layer[4]) - 1):
        edge //= 2
    assert edge == 2


def test_a_cut_file_does_without_the_whole_one(weights, monkeypatch, capsys) -> None:
    whole = weights / PINNED["vgg16", "IMAGENET1K_FEATURES"][0]
    torch.save(tensors(13) | {"classifier.0.weight": torch.zeros(9)}, whole)
    as_published(monkeypatch, "vgg16", "IMAGENET1K_FEATURES", whole)
    cut.main([])
    assert "MB" in capsys.readouterr().out
    whole.unlink()
    found = load_weights("IMAGENET1K_FEATURES", ["relu3_3"])
    assert set(found) == set(tensors(7))
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors(7).items())
    assert sum(file.stat().st_size for file in weights.iterdir()) < 8e6
    assert "relu3_3" in refusal("IMAGENET1K_FEATURES", ["relu4_3"])


def test_a_flipped_bit_in_a_known_file_is_noticed(tmp_path, monkeypatch) -> None:
    copy = tmp_path / loss_weights.SMALL_WEIGHTS.name
    data = bytearray(loss_weights.SMALL_WEIGHTS.read_bytes())
    copy.write_bytes(data)
    monkeypatch.setattr(loss_weights, "SMALL_WEIGHTS", copy)
    assert load_weights("BUNDLED", ["relu1_2"], architecture="vgg16_small")
    data[len(data) // 2] ^= 16
    copy.write_bytes(data)
    with pytest.raises(UserError, match=r"vgg16_small.safetensors is damaged \(sha256 .*remove it"):
        load_weights("BUNDLED", ["relu1_2"], architecture="vgg16_small")
