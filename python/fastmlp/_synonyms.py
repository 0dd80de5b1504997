"""Names that mean the same in scikit-learn, Keras, PyTorch, XGBoost and here.

`fastmlp.errors.did_you_mean` looks here for what a user of another library means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["plain", "synonym"]

# Each line holds names of one thing, in any spelling that `plain` makes equal. Which of them are
# ours depends on what is asked for: an option, a setting, an argument, a loss or a metric. Of
# lines with the same name, the first counts that has one of ours.
_SAME = tuple(
    tuple(line.split())
    for line in """
alpha rho
l2 alpha reg_lambda l2_regularization kernel_regularizer
decay weight_decay wd
l2 weight_decay wd
l1 reg_alpha l1_regularization
lr learning_rate learn_rate learning_rate_init eta eta0 step_size alpha0
lr_schedule scheduler lr_scheduler schedule learning_rate_schedule
warmup warmup_steps warmup_epochs warmup_ratio
epochs epoch n_epochs num_epochs max_epochs nb_epoch max_iter n_iter iterations n_estimators
steps epochs
every step_size
batch_size batch minibatch minibatch_size mini_batch_size bs per_device_train_batch_size
hidden layer_sizes hidden_layers hidden_layer_sizes hidden_size hidden_sizes hidden_units units \
neurons layers n_units
activation act activation_fn activation_function nonlinearity
optimizer optim solver opt
loss criterion loss_fn loss_function objective
metric metrics scoring eval_metric
monitor early_stopping_metric
patience early_stopping n_iter_no_change early_stopping_rounds early_stopping_patience
seed random_state random_seed rng_seed
threads n_jobs n_threads num_threads num_workers nthread thread_count workers cores cpus
processes jobs n_jobs workers num_workers
dropout dropout_rate drop_rate p_dropout drop
momentum sgd_momentum
nesterov nesterovs_momentum use_nesterov
epsilon eps
beta1 beta_1
beta2 beta_2
centred centered
batch_normalization batch_norm batchnorm bn
layer_normalization layer_norm layernorm ln
initializer init kernel_initializer weight_init
dtype precision float_type
target label labels y target_column label_column response
exclude drop ignore drop_columns ignore_columns
features columns feature_columns inputs x usecols
categorical cat_features categorical_features categorical_feature
class_weight class_weights
sample_weight sample_weights weight weights
validation_fraction validation_split val_split val_fraction valid_fraction eval_fraction
validation_data validation_split eval_set validation valid_data
test_fraction test_size test_split
folds n_splits cv k n_folds k_folds kfold
scaling scaler normalize standardize preprocessing
separator sep delimiter delim
missing_token na_values na null_values
out output_dir out_dir outdir save_dir run_dir logdir log_dir
output out_file outfile
config config_file settings
resume continue resume_from checkpoint
clip_norm clipnorm grad_clip gradient_clip max_grad_norm gradient_clip_val gradient_clipnorm
clip_value clipvalue
time_limit timeout max_time
trials n_trials num_trials
probabilities proba predict_proba probs
architecture model model_type arch network
members ensemble_size n_members n_models
tensorboard tb
min_accuracy require_accuracy
overwrite force exist_ok
quiet silent no_progress
relu rectifier rectified_linear
leaky_relu lrelu leakyrelu
silu swish
sigmoid logistic
identity linear none
tanh hyperbolic_tangent
softmax_cross_entropy crossentropy cross_entropy ce cce xent categorical_crossentropy \
sparse_categorical_crossentropy crossentropyloss nll nllloss softmax log_loss logloss \
multi_logloss
binary_cross_entropy bce bceloss bcewithlogitsloss binary_crossentropy logistic \
sigmoid_cross_entropy bcewithlogits
mse mean_squared_error meansquarederror mseloss squared_error l2 l2loss l2_loss rmse
half_mse mse
mae mean_absolute_error meanabsoluteerror l1loss l1 l1_loss absolute_error
mape mean_absolute_percentage_error
rmse root_mean_squared_error neg_root_mean_squared_error
huber smoothl1loss smooth_l1 huberloss smooth_l1_loss
hinge squared_hinge multimarginloss svm
poisson poissonnllloss poisson_nll
quantile pinball quantile_loss pinball_loss
r2 r2_score rsquared
auc roc_auc auroc roc_auc_score
log_loss logloss nll cross_entropy crossentropy
f1 f1_score f1_macro macro_f1
accuracy acc accuracy_score categorical_accuracy
val_accuracy val_acc valid_accuracy
val_loss valid_loss validation_loss
balanced_accuracy balanced_accuracy_score bacc
brier brier_score
sgd momentum sgdm gd gradient_descent
adamw adam_w
rmsprop rms_prop
lbfgs l_bfgs l_bfgs_b bfgs
cosine cosineannealinglr cosine_annealing cosine_decay cosineannealing
one_cycle onecyclelr onecycle
plateau reducelronplateau reduce_on_plateau
step steplr step_decay multisteplr
exponential exponentiallr exponential_decay
constant fixed
glorot_uniform xavier_uniform xavier
glorot_normal xavier_normal
he_normal kaiming_normal kaiming he msra
he_uniform kaiming_uniform
lecun_normal lecun
mlp dense fully_connected feedforward fnn
realmlp real_mlp
resnet residual
float32 single fp32 f32 float
float64 double fp64 f64
bfloat16 bf16
mnist mnist_784
breast-cancer breast_cancer_wisconsin cancer
""".strip().splitlines()
)


def plain(name: str) -> str:
    """Return a name in lower case without separators: what differs by them alone is the same."""
    return re.sub(r"[-_ .]", "", name).lower()


def synonym(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that means the same as a name, if any."""
    meant = plain(name)
    names: dict[str, str] = {}
    for text in known:
        names.setdefault(plain(text), text)
    if meant in names:
        return names[meant]
    for line in _SAME:
        group = [plain(word) for word in line]
        if meant in group and (found := next((names[word] for word in group if word in names), "")):
            return found
    return None
