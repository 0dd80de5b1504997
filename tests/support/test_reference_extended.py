"""The wider oracle is checked without fastmlp: by central differences and published numbers.

Numbers "of PyTorch" were computed once with PyTorch 2.13.0 in float64, derivatives by its autograd.
"""

from __future__ import annotations

import numpy as np
import pytest

from support import reference_activations as activations
from support import reference_losses as losses
from support import reference_network as network
from support.differences import central_differences
from support.reference_inputs import InputColumns

SMOOTH = ("identity", "sigmoid", "tanh", "gelu", "gelu_tanh", "silu", "mish", "softplus")
KINKS = {"hard_sigmoid": (-3.0, 3.0), "relu": (0.0,), "leaky_relu": (0.0,), "elu": (0.0,)}
KINKS |= {"selu": (0.0,)} | dict.fromkeys(SMOOTH, ())
PARAMETERS = {"leaky_relu": 0.1, "elu": 0.5}


def assert_gradient(analytic, numeric):
    scale = np.max(np.abs(numeric))
    assert scale > 0
    assert analytic.shape == numeric.shape
    assert np.max(np.abs(analytic - numeric)) < 1e-7 * scale


def assert_far_from_kinks(values, kinks, distance=1e-3):
    assert all(np.min(np.abs(values - kink)) > distance for kink in kinks)


# Value and derivative at TORCH_Z, of PyTorch.
TORCH_Z = np.array([-2.5, 0.7])
TORCH_ACTIVATIONS = {
    "sigmoid": ([0.0758581800212, 0.668187772168], [0.0701037165451, 0.221712873293]),
    "tanh": ([-0.986614298151, 0.604367777117], [0.0265922266832, 0.634739589982]),
    "elu": ([-0.458957500688, 0.7], [0.0410424993119, 1]),
    "selu": ([-1.61378575887, 0.735490691149], [0.144313581974, 1.05070098736]),
    "gelu": ([-0.0155241633144, 0.530625443444], [-0.0376110859081, 0.976614101134]),
    "gelu_tanh": ([-0.01508426609, 0.530570134705], [-0.0379515762127, 0.976357218656]),
    "silu": ([-0.189645450053, 0.467731440518], [-0.0994011113415, 0.823386783473]),
    "mish": ([-0.196816203907, 0.561148377644], [-0.109743572750, 0.968794868200]),
    "softplus": ([0.0788897342925, 1.10318604889], [0.0758581800212, 0.668187772168]),
}


@pytest.mark.parametrize("name", TORCH_ACTIVATIONS)
def test_activations_are_those_of_pytorch(name):
    value, derivative = TORCH_ACTIVATIONS[name]
    parameter = PARAMETERS.get(name)
    np.testing.assert_allclose(activations.value(name, TORCH_Z, parameter), value, rtol=1e-11)
    np.testing.assert_allclose(
        activations.derivative(name, TORCH_Z, parameter), derivative, rtol=1e-11
    )


@pytest.mark.parametrize("name", KINKS)
def test_derivatives_match_central_differences(name):
    z = np.linspace(-5.03, 5.01, 200)
    assert_far_from_kinks(z, KINKS[name])
    parameter = PARAMETERS.get(name)
    above, below = (activations.value(name, z + h, parameter) for h in (1e-5, -1e-5))
    assert_gradient(activations.derivative(name, z, parameter), (above - below) / 2e-5)


def test_steps_by_hand():
    z = np.array([-2.0, -0.0, 0.0, 1e-300, 2.0])
    np.testing.assert_array_equal(activations.value("step", z), [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(activations.value("sign", z), [-1, -1, -1, 1, 1])
    for name in ("step", "sign"):
        np.testing.assert_array_equal(activations.derivative(name, z), np.zeros(5))
        np.testing.assert_array_equal(activations.derivative(name, z, 1.0), np.ones(5))


def test_derivatives_at_kinks():
    at_zero = {"relu": 0, "leaky_relu": 0.01, "elu": 1, "selu": 1.7580993408473766}
    for name, expected in at_zero.items():
        assert activations.derivative(name, np.zeros(1)) == pytest.approx(expected, abs=1e-15)
    z = np.array([-3, -1.5, 0, 1.5, 3])
    np.testing.assert_array_equal(activations.value("hard_sigmoid", z), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_array_equal(6 * activations.derivative("hard_sigmoid", z), [0, 1, 1, 1, 0])


@pytest.mark.parametrize("name", activations.DEFAULT_PARAMETERS)
def test_activations_saturate_without_overflow(name):
    far = np.array([-1e300, 1e300])
    derivative = activations.derivative(name, far)
    assert np.all(np.isfinite([activations.value(name, far), derivative]))
    assert derivative[0] == {"identity": 1, "leaky_relu": 0.01}.get(name, 0)


def test_gelu_keeps_its_accuracy_in_the_tail():
    """-log10 of Phi(-10): M. Abramowitz and I. Stegun 1964, table 26.2."""
    value = activations.value("gelu", np.array([-10.0]))
    assert -np.log10(value[0] / -10) == pytest.approx(23.11805, abs=1e-5)


OUTPUTS = np.array([[0.5, -1.2, 2.0], [1.5, 0.3, -0.7]])
CLASSES = np.array([2, 1])
PROBABILITIES = np.array([[0.2, 0.3, 0.5], [0.1, 0.7, 0.2]])
WEIGHTED = {"output_weights": [1, 2, 0.5]}
SMOOTHED = {"label_smoothing": 0.1}
# Targets and options, then the losses of both rows, of PyTorch.
TORCH_LOSSES = [
    ("softmax_cross_entropy", CLASSES, {}, [0.234196137136, 1.54500527666]),
    ("softmax_cross_entropy", CLASSES, SMOOTHED, [0.390862803802, 1.53833860999]),
    ("softmax_cross_entropy", PROBABILITIES, {}, [1.49419613714, 1.62500527666]),
    ("softmax_cross_entropy", PROBABILITIES, SMOOTHED, [1.5248628038, 1.61033860999]),
    ("binary_cross_entropy", PROBABILITIES, {}, [2.62428746256, 2.73895457134]),
    ("binary_cross_entropy", PROBABILITIES, WEIGHTED, [2.68410592438, 3.11171679136]),
    ("mse", PROBABILITIES, {}, [4.59, 2.93]),
    ("mae", PROBABILITIES, {}, [3.3, 2.7]),
    ("huber", PROBABILITIES, {"delta": 0.8}, [1.805, 1.28]),
    ("poisson", PROBABILITIES, {}, [8.59897158154, 6.10813318171]),
    ("hinge", CLASSES, {}, [0, 2.2]),
]


@pytest.mark.parametrize(("name", "targets", "options", "row_loss"), TORCH_LOSSES)
def test_losses_are_those_of_pytorch(name, targets, options, row_loss):
    loss, _ = losses.LOSSES[name](OUTPUTS, targets, **options)
    np.testing.assert_allclose(loss, row_loss, rtol=1e-11)


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "printed", "digits"),
    [
        # Sparse cross-entropy of three logits.
        ("softmax_cross_entropy", [[8, 1, 1]], [0], 0.001822, 6),
        ("softmax_cross_entropy", [[0, 9, 1]], [1], 0.000459, 6),
        ("softmax_cross_entropy", [[2, 3, 5]], [2], 0.169846, 6),
        # tf.nn.softmax_cross_entropy_with_logits, docstring of TensorFlow 2.21.
        ("softmax_cross_entropy", [[0, 5, 1]], [[0, 0.8, 0.2]], 0.82474494, 7),
        # tf.nn.sigmoid_cross_entropy_with_logits, docstring of TensorFlow 2.21.
        ("binary_cross_entropy", [[1]], [[0]], 1.3132617, 7),
        # keras.losses.BinaryCrossentropy and huber, docstrings of Keras 3.15, means of 4 values.
        ("binary_cross_entropy", [[-18.6, 0.51, 2.94, -12.8]], [[0, 1, 0, 0]], 4 * 0.8654, 3),
        ("huber", [[0.6, 0.4, 0.4, 0.6]], [[0, 1, 0, 0]], 4 * 0.155, 3),
        # The multi-class support vector machine of Stanford's course CS231n.
        ("hinge", [[0.6, -2.3, 1.9]], [0], 2.3, 15),
    ],
)
def test_losses_of_published_examples(loss, outputs, targets, printed, digits):
    row_loss, _ = losses.LOSSES[loss](np.array(outputs, float), np.array(targets))
    assert row_loss.shape == (1,)
    assert row_loss[0] == pytest.approx(printed, rel=0, abs=0.51 * 10.0**-digits)


@pytest.mark.parametrize(("level", "low", "high"), [(0.1, 0.1, 0.9), (0.9, 0.9, 0.1)])
def test_pinball_loss_of_scikit_learn(level, low, high):
    """mean_pinball_loss, docstring of scikit-learn 1.9: 0.033 and 0.3, means of three."""
    for outputs, expected in (([[0], [2], [3]], low), ([[1], [2], [4]], high)):
        row_loss, _ = losses.quantile(np.array(outputs), np.array([[1], [2], [3]]), levels=[level])
        assert row_loss.sum() == pytest.approx(expected, rel=1e-15)


def test_derivatives_at_the_kinks_of_losses():
    same = np.array([[1.0, -2.0]])
    np.testing.assert_array_equal(losses.mae(same, same)[1], [[0, 0]])
    np.testing.assert_array_equal(losses.huber(same, same - [[2, -2]], delta=2.0)[1], [[2, -2]])
    np.testing.assert_array_equal(losses.hinge(np.array([[1.0, 0.0]]), np.array([0]))[1], [[0, 0]])
    quantiles, target = np.array([[0.0, 1.0, 3.0]]), np.array([[1.0]])
    row_loss, derivative = losses.quantile(quantiles, target, levels=[0.25, 0.5, 0.75])
    np.testing.assert_array_equal(row_loss, [0.25 + 0 + 0.5])
    np.testing.assert_array_equal(derivative, [[-0.25, 0, 0.25]])


def test_losses_survive_huge_logits():
    logits = np.array([[1e4, -1e4]])
    assert losses.softmax_cross_entropy(logits, np.array([1]), label_smoothing=0.5)[0] == 1.5e4
    row_loss, dlogits = losses.binary_cross_entropy(logits, np.array([[0.0, 1.0]]))
    np.testing.assert_array_equal(row_loss, [2e4])
    np.testing.assert_array_equal(dlogits, [[1, -1]])


def test_sample_weights_of_keras():
    """CategoricalCrossentropy, docstring of Keras 3.15, which divides the weighted sum by 2."""
    logits = np.log([[0.05, 0.95, 1e-30], [0.1, 0.8, 0.1]])
    batch = ([("softmax_cross_entropy", 3, 1.0, {})], logits, [np.array([[0, 1, 0], [0, 0, 1]])])
    assert losses.total(*batch)[0] == pytest.approx(1.177, abs=1e-3)
    assert losses.total(*batch, [0.3, 0.7])[0] == pytest.approx(2 * 0.814, abs=1e-3)


GROUPS = [
    ("softmax_cross_entropy", 3, 0.7, {"label_smoothing": 0.1}),
    ("binary_cross_entropy", 2, 1.3, {"output_weights": [1, 3]}),
    ("huber", 2, 2.0, {"delta": 0.6, "output_weights": [0.5, 2]}),
    ("quantile", 3, 0.4, {"levels": [0.1, 0.5, 0.8]}),
    ("mse", 1, 1.0, {}),
    ("half_mse", 1, 0.5, {"output_weights": [3]}),
    ("mae", 2, 1.5, {"output_weights": [2, 1]}),
    ("poisson", 2, 0.3, {}),
    ("hinge", 3, 0.6, {}),
]


def targets_of(groups, rows, seed):
    rng = np.random.default_rng(seed)
    of_classes = ("softmax_cross_entropy", "hinge")
    return [
        rng.integers(0, n, rows) if loss in of_classes else rng.uniform(0, 1, (rows, n))
        for loss, n, _, _ in groups
    ]


@pytest.mark.parametrize("groups", [*([g] for g in GROUPS), GROUPS], ids=lambda g: g[-1][0])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_gradients_match_central_differences(groups, weighted):
    rng, rows = np.random.default_rng(5), 9
    outputs = rng.standard_normal((rows, sum(g[1] for g in groups)))
    weights = rng.uniform(0, 2, rows) if weighted else None
    batch = (groups, outputs, targets_of(groups, rows, seed=6))
    _, doutputs = losses.total(*batch, weights)
    (numeric,) = central_differences(lambda: losses.total(*batch, weights)[0], [outputs])
    assert_gradient(doutputs, numeric)


def test_groups_add_up_with_their_weights():
    groups = [("mse", 1, 2.0, {}), ("mae", 1, 3.0, {})]
    zeros = [np.zeros((1, 1))] * 2
    row_loss, doutputs = losses.row_losses(groups, np.array([[1.0, -2.0]]), zeros)
    np.testing.assert_array_equal(row_loss, [2 * 1 + 3 * 2])
    np.testing.assert_array_equal(doutputs, [[2 * 2, -3]])
    with pytest.raises(ValueError, match=r"cover all 3 outputs, got 2"):
        losses.row_losses(groups, np.zeros((1, 3)), zeros)


SIZES = (5, 7, 6)
SOFTMAX_GROUPS = [("mse", 3, 0.7, {}), ("quantile", 2, 2.0, {"levels": [0.3, 0.6]})]
SURROUNDINGS = {
    "plain": {},
    "batch norm": {"normalized": (0, 1)},
    "batch norm at rest": {"normalized": (1,), "training": False},
    "masks and noise": {"masked": True},
    "softmax": {"softmax_output": True},
    "all": {"normalized": (0, 1), "masked": True, "weighted": True, "softmax_output": True},
}


def random_network(hidden, groups, normalized=(), softmax_output=False):
    rng = np.random.default_rng(9)
    sizes = (*SIZES, sum(g[1] for g in groups))
    scales = [rng.uniform(0.5, 2, n) for n in sizes[1:]]
    return network.Network(
        weights=[rng.normal(0, 0.5, s) for s in zip(sizes, sizes[1:], strict=False)],
        biases=[rng.normal(0, 0.5, n) for n in sizes[1:]],
        activations=[hidden, hidden, "identity"],
        parameters=[PARAMETERS.get(hidden), PARAMETERS.get(hidden), None],
        groups=groups,
        scales=[s if i in normalized else None for i, s in enumerate(scales)],
        running_means=[rng.standard_normal(n) for n in sizes[1:]],
        running_variances=[rng.uniform(0.5, 2, n) for n in sizes[1:]],
        softmax_output=softmax_output,
    )


def check_gradients(hidden, training=True, masked=False, weighted=False, **structure):
    groups = SOFTMAX_GROUPS if "softmax_output" in structure else GROUPS
    net = random_network(hidden, groups, **structure)
    rng, rows = np.random.default_rng(10), 9
    x = rng.standard_normal((rows, 5))
    options = {
        "training": training,
        "masks": [rng.choice([0, 1.25], (rows, n)) for n in SIZES] if masked else None,
        "noise": rng.normal(0, 0.3, x.shape) if masked else None,
    }
    weights = rng.uniform(0, 2, rows) if weighted else None
    targets = targets_of(groups, rows, seed=11)
    for trace in net.trace(x, **options)[0][:2]:
        assert_far_from_kinks(trace.pre_activation, KINKS[hidden], distance=1e-4)

    def loss():
        return losses.total(groups, net.forward(x, **options), targets, weights)[0]

    g = net.loss_and_gradients(x, targets, weights, **options)
    assert g.loss == loss()
    normalized = structure.get("normalized", ())
    parameters = [*net.weights, *net.biases, *(net.scales[i] for i in normalized), x]
    analytic = [*g.dweights, *g.dbiases, *(g.dscales[i] for i in normalized), g.dinput]
    for gradient, expected in zip(analytic, central_differences(loss, parameters), strict=True):
        assert_gradient(gradient, expected)


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_network_gradients_match_central_differences(surroundings):
    check_gradients("silu", **SURROUNDINGS[surroundings])


@pytest.mark.parametrize("hidden", KINKS)
def test_network_gradients_of_every_activation(hidden):
    check_gradients(hidden, normalized=(0,))


def test_defaults_of_a_new_network():
    """The running mean is 0, the running variance 1."""
    net = network.Network([np.eye(1)], [np.zeros(1)], ["leaky_relu"], [], [], [np.ones(1)])
    assert net.forward(np.array([[-1.0]])) == pytest.approx(-0.01 / np.sqrt(1 + 1e-5), abs=1e-16)


def test_backpropagation_of_the_stanford_course():
    """CS231n, notes on backpropagation: a sigmoid neuron, w = (2, -3, -3), x = (-1, -2)."""
    parameters = [np.array([[2.0], [-3.0]])], [np.array([-3.0])]
    net = network.Network(*parameters, ["sigmoid"], [("mae", 1, 1.0, {})])
    g = net.loss_and_gradients(np.array([[-1, -2]]), [np.zeros((1, 1))])  # |f - 0| has derivative 1
    assert round(g.loss, 2) == 0.73
    np.testing.assert_array_equal(np.round(g.dweights[0].T, 2), [[-0.20, -0.39]])
    np.testing.assert_array_equal(np.round(g.dbiases[0], 2), [0.20])
    np.testing.assert_array_equal(np.round(g.dinput, 2), [[0.39, -0.59]])


def test_batch_normalization_of_pytorch():
    """torch.nn.functional.batch_norm, momentum 0.1, which is 0.9 here, and eps 1e-3."""
    x = np.array([[1, 2], [-0.5, 0.3], [0.7, -1.1], [2.2, 0.4]])
    targets = [np.array([[0.5, -1], [1, 0], [0, 2], [-1, 0.5]])]
    net = network.Network(
        *([np.eye(2)], [np.array([0.2, -0.1])], ["identity"], [("half_mse", 2, 1.0, {})]),
        scales=[np.array([1.5, -0.8])],
        epsilon=1e-3,
        running_means=[np.array([0.1, -0.2])],
        running_variances=[np.array([1.2, 0.9])],
    )
    g = net.loss_and_gradients(x, targets)
    assert g.loss == pytest.approx(2.60510224332, rel=1e-11)
    np.testing.assert_allclose(g.dscales[0], [2.18126592279, 0.247850215608], rtol=1e-11)
    np.testing.assert_allclose(g.dbiases[0], [0.075, -0.475], rtol=1e-11)
    np.testing.assert_allclose(g.dinput[0], [-0.187829232986, 0.0276222909635], rtol=1e-11)
    net.update_running(x)
    np.testing.assert_allclose(net.running_means[0], [0.175, -0.14], rtol=1e-14)
    np.testing.assert_allclose(net.running_variances[0], [1.203, 0.970666666667], rtol=1e-11)
    np.testing.assert_array_equal(net.forward(x[:1]), net.forward(x)[:1])
    net.update_running(x[:1])  # the variance of one row is 0, not undefined
    np.testing.assert_allclose(net.running_variances[0], [0.9 * 1.203, 0.8736], rtol=1e-11)


def test_masks_and_noise_act_where_they_should():
    net = random_network("relu", [("mse", 3, 1.0, {})])
    x, noise = np.ones((2, 5)), np.full((2, 5), 0.5)
    mask = np.array([[0, 2, 2, 0, 2]] * 2)
    outputs = net.forward(x, masks=[mask, None, None], noise=noise)
    np.testing.assert_array_equal(outputs, net.forward((x + noise) * mask))
    # A last hidden layer that is dropped whole leaves the biases.
    outputs = net.forward(x, masks=[None, None, np.zeros((2, 6))])
    np.testing.assert_array_equal(outputs, [net.biases[-1]] * 2)


def test_constraints_by_hand():
    clipped = network.clip_by_value(np.array([-3, -1, 0.5, 2]), 1.0)
    np.testing.assert_array_equal(clipped, [-1, -1, 0.5, 1])
    gradients = [np.array([[3.0]]), np.array([0.0, 4.0])]
    for bound, factor in ((10, 1), (5, 1), (2.5, 0.5)):
        for cut, g in zip(network.clip_by_norm(gradients, bound), gradients, strict=True):
            np.testing.assert_array_equal(cut, factor * g)
    weights = np.array([[3, 0.3, 0], [4, 0.4, 0]])
    np.testing.assert_array_equal(network.max_norm(weights, 2.5), [[1.5, 0.3, 0], [2, 0.4, 0]])
    np.testing.assert_array_equal(network.ema(np.array([4.0]), np.array([8.0]), 0.75), [5])


@pytest.mark.parametrize(
    "line",
    [
        "00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd",
        "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1",
    ],
)
def test_philox_answers_of_random123(line):
    """Counter, key and result of philox4x32 10 in kat_vectors of the Random123 distribution."""
    words = [int(word, 16) for word in line.split()]
    np.testing.assert_array_equal(network.philox4x32(words[:4], words[4:6]), words[6:])


@pytest.mark.parametrize("cols", [1, 16, 21, 48])
def test_each_element_has_its_word(cols):
    seed, level, step, rows = 7 + (9 << 32), 2, 2**32 + 5, 3
    words = network.random_words(seed, network.DROPOUT, level, step, rows, cols)
    groups = (cols + 15) // 16
    for row, group, k in np.ndindex(rows, groups, 4):
        index = (row * groups + group) * 4 + k
        block = network.philox4x32([index, level, 5, 3], [7, 9])
        for word, column in zip(block, (2 * k, 2 * k + 1, 8 + 2 * k, 9 + 2 * k), strict=True):
            if 16 * group + column < cols:
                assert words[row, 16 * group + column] == word


def test_dropout_drops_its_share():
    mask = network.dropout_mask(4, 1, 0, 500, 100, 0.3)
    np.testing.assert_array_equal(np.unique(mask), [0, 1 / 0.7])
    assert np.mean(mask == 0) == pytest.approx(0.3, abs=5 * np.sqrt(0.3 * 0.7 / mask.size))
    np.testing.assert_array_equal(network.dropout_mask(4, 1, 0, 9, 9, 0.0), np.ones((9, 9)))
    # A word equal to the threshold is kept.
    word = int(network.random_words(4, network.DROPOUT, 1, 0, 1, 1).item())
    assert network.dropout_mask(4, 1, 0, 1, 1, word / 2**32).item() > 0
    assert network.dropout_mask(4, 1, 0, 1, 1, (word + 1) / 2**32).item() == 0


def test_noise_is_standard_normal():
    noise, n = network.normal_noise(4, 0, 500, 100), 500 * 100
    assert abs(noise.mean()) < 5 / np.sqrt(n)
    assert noise.var() == pytest.approx(1, abs=5 * np.sqrt(2 / n))
    assert np.mean(np.abs(noise) > 1.96) == pytest.approx(0.05, abs=5 * np.sqrt(0.0475 / n))
    assert noise.argmin() == network.random_words(4, 4, 0, 0, 500, 100).argmin()


# ---------------------------------------------------------------- inputs, mixes and members


def table_network(rng, members, own_weights, own_vectors):
    """Return a network with everything that networks for tables have, and samples."""

    def drawn(*shape):
        return rng.standard_normal(shape)

    def arrays(**shapes):
        return {name: drawn(*shape) for name, shape in shapes.items()}

    groups = [
        InputColumns(
            "number", 2, clip=1.5, basis="cosine", keeps_value=True,
            arrays=arrays(frequencies=(2, 3), phases=(2, 3), maps=(2, 3, 2), map_biases=(2, 2)),
        ),
        InputColumns("number", basis="periodic", arrays=arrays(frequencies=(1, 2))),
        InputColumns(
            "number", basis="piecewise_linear", edges=np.array([[-1.0, 0.1, 1.0]]),
            arrays=arrays(maps=(1, 2, 3), map_biases=(1, 3)),
        ),
        InputColumns("one_hot", levels=3, values=np.array([0, 1, -1, 2, 0, 0.5])),
        InputColumns("one_hot", levels=2, values=np.array([-1, 1, 0.0])),
        InputColumns("category", levels=3, arrays=arrays(tables=(1, 4, 2))),
    ]  # fmt: skip
    width, sizes = 19, (4, 3)
    one = (members,) if members > 1 else ()
    weights = one if own_weights else ()
    vectors = one if own_vectors else ()
    net = network.Network(
        weights=[drawn(*weights, width, 4) / 3, drawn(*weights, 4, 3), drawn(*one, 3, 2)],
        biases=[*(drawn(*vectors, size) for size in sizes), drawn(*one, 2)],
        activations=["mish", "tanh", "identity"],
        groups=[("softmax_cross_entropy", 2, 1.0, {})],
        scales=[*(1 + 0.3 * drawn(*vectors, size) for size in sizes), None],
        normalizes=[True, False, False],
        mixes=[*(drawn(*vectors, size) for size in sizes), None],
        input_scales=[drawn(*one, width), drawn(*one, 4), None],
        inputs=groups,
        members=members,
    )
    x = np.hstack([drawn(9, 4), rng.integers(-1, 4, (9, 3))])
    return net, x, rng.integers(0, 2, 9)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("own", [(False, False), (False, True), (True, True)])
def test_gradients_of_networks_for_tables_match_central_differences(members, own):
    net, x, classes = table_network(np.random.default_rng(members), members, *own)
    found = net.loss_and_gradients(x, [classes])
    lists = [
        (net.weights, found.dweights),
        (net.biases, found.dbiases),
        (net.scales, found.dscales),
        (net.mixes, found.dmixes),
        (net.input_scales, found.dinput_scales),
        *(
            ([group.arrays[name]], [gradients[name]])
            for group, gradients in zip(net.inputs, found.dinputs, strict=True)
            for name in group.arrays
        ),
    ]
    compared = 0
    for arrays, gradients in lists:
        for array, gradient in zip(arrays, gradients, strict=True):
            assert (array is None) == (gradient is None)
            if array is None:
                continue
            (numeric,) = central_differences(
                lambda: net.loss_and_gradients(x, [classes]).loss, [array]
            )
            assert gradient.shape == array.shape
            error = np.max(np.abs(gradient - numeric))
            assert error < 1e-7 * max(np.max(np.abs(numeric)), 0.1)
            compared += np.any(gradient)
    assert compared >= 18


def test_members_of_equal_weights_are_one_network():
    net, x, classes = table_network(np.random.default_rng(5), 1, False, False)
    each = {
        name: [None if a is None else np.stack([a] * 4) for a in getattr(net, name)]
        for name in ("weights", "biases", "scales", "mixes", "input_scales")
    }
    several = network.Network(
        activations=net.activations,
        groups=net.groups,
        normalizes=net.normalizes,
        inputs=net.inputs,
        members=4,
        **each,
    )
    shares = [np.exp(n.forward(x, True)) for n in (net, several)]
    shares = [own / own.sum(axis=1, keepdims=True) for own in shares]
    np.testing.assert_allclose(shares[0], shares[1], rtol=1e-13)
    one, found = net.loss_and_gradients(x, [classes]), several.loss_and_gradients(x, [classes])
    assert one.loss == pytest.approx(found.loss, rel=1e-13)
    np.testing.assert_allclose(found.dweights[0].sum(axis=0), one.dweights[0], atol=1e-15)
    np.testing.assert_allclose(found.dinput, one.dinput, atol=1e-15)
