from dataclasses import replace
from math import nan

from pipeline.evaluation import Training
from pipeline.predictions import Label, Predictions, Values
from pipeline.reporting.answer import compose
from pipeline.reporting.report_inputs import Report, StageRun
from pipeline.reporting.report_page import render
from pipeline.results import BatchScaling, ScaledRate
from tests.reporting.conftest import PNG, make_predictions
from tests.reporting.page import Page


def test_the_answer_comes_first(report: Report, rendered: str) -> None:
    """The first words of the page are the answer's headline; every line of the terminal's answer is on the page."""
    page = Page(rendered)
    body = [text for inside, text in page.texts if "body" in inside]
    assert body[0] == "Skip to the contents"
    assert body[1] == "Train SGD with the cosine scheme and an initial learning rate of 0.0562."
    for line in compose(report).lines():
        assert line in body


def test_sections_in_order_each_with_a_heading(rendered: str) -> None:
    """Navigation and headings agree."""
    page = Page(rendered)
    titles = [
        "Range test",
        "Learning-rate curves",
        "Loss curves",
        "Leaderboard",
        "How much the initial rate matters",
        "Trials",
        "Trust",
        "Test results",
        "Data",
        "Costs",
        "How to reproduce",
        "How to read this",
    ]
    assert page.text("h2") == titles
    assert page.text("nav") == titles
    ids = list(page.attributes("id"))
    targets = [href for tag, attributes in page.tags if tag == "a" and (href := attributes["href"])]
    assert [target.removeprefix("#") in ids for target in targets] == [True] * (1 + len(titles))


def test_nothing_is_loaded_from_outside(rendered: str) -> None:
    """No scripts of others, no fonts, no pictures, no links: one file, readable without a network."""
    page = Page(rendered)
    assert not {"link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    for name in ("src", "href", "srcset", "data", "action"):
        assert all(value.startswith("#") for value in page.attributes(name))
    assert "://" not in rendered
    assert "@import" not in rendered


def _longer(training: Training, times: int) -> Training:
    rates, losses = training.rates.repeat(times), training.losses.repeat(times)
    return replace(training, rates=rates, losses=losses, steps_per_epoch=training.steps_per_epoch * times)


def test_it_is_one_moderate_document(report: Report) -> None:
    """A long training makes no long page, and no id occurs twice."""
    long = [replace(t, training=_longer(t.training, 300)) for t in report.trainings]
    text = render(replace(report, trainings=long))
    assert len(text.encode()) < 3_000_000
    ids = list(Page(text).attributes("id"))
    assert len(ids) == len(set(ids))


def test_the_same_report_gives_the_same_bytes(report: Report, rendered: str) -> None:
    """Neither the time nor the process changes it."""
    assert render(report) == rendered


FIGURES = (
    "it is lowest, 0.36, at 0.31; 0.0562 is suggested, and from 0.85 on training diverges",
    "the lowest is 0.36, at 0.0562",
    "the winner's goes from 0.0562 to 9.4e-7",
    "the winner's end at 0.05422 and 0.05964",
    "the best is cosine 0.0562, with 0.0571",
    "the winner's is within noise of the best at 0.0266 to 0.119",
    "as in the table that follows",
)
"""What the text in the place of each figure says, in their order on the page."""


def test_accessible(rendered: str) -> None:
    """A language, one main heading, described figures, tables with header cells, scroll boxes a keyboard can reach."""
    page = Page(rendered)
    assert dict(page.tags)["html"]["lang"] == "en"
    assert len(page.text("h1")) == 1
    figures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(figures) == 14  # seven figures, each for desk and phone
    assert all(attributes["role"] == "img" for attributes in figures)
    described = list(dict.fromkeys(str(attributes["aria-label"]) for attributes in figures))
    for said, shown in zip(described, FIGURES, strict=True):
        assert shown in said
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    boxes = [attributes for _, attributes in page.tags if attributes.get("class") == "scroll"]
    assert len(boxes) == 10
    assert all(attributes["tabindex"] == "0" and attributes["aria-label"] for attributes in boxes)


def test_the_code_to_paste_is_on_the_first_screen(report: Report, rendered: str) -> None:
    """Letter by letter, before the contents; without a final training there is none."""
    code = 'model.compile(optimizer=keras.optimizers.SGD(learning_rate=Schedule()), loss="...")\n<not a tag>'
    text = render(replace(report, code=code, trainings=(), trials=None))
    page = Page(text)
    assert page.text("pre")[0] == " ".join(code.split())
    assert text.index("Schedule()") < text.index("<nav")
    assert "The code to paste" not in Page(rendered).visible


def test_hostile_names_are_shown_as_text(report: Report) -> None:
    """Whatever the user's data, options and classes are called."""
    bad = '<script>alert("x")</script><img src=x onerror=alert(1)>'
    first = report.trainings[0]
    hostile = replace(
        report,
        prepare=report.prepare.model_copy(update={"data": bad, "digests": {bad: bad}}),
        options={bad: bad, "epochs": 6},
        environment={bad: bad},
        command=bad,
        code=bad,
        trainings=[replace(first, name=bad), *report.trainings],
        costs=[(bad, 1.0, 1.0)],
    )
    page = Page(render(hostile))
    assert [tag for tag, _ in page.tags if tag in ("script", "img")] == ["script"]
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.visible.count(bad) >= 10


def test_the_page_says_what_was_split(report: Report, rendered: str) -> None:
    """Into one split, or several; then also which training had which, and whose model is kept."""
    shown = Page(rendered).visible
    assert "All of this holds on this split of the data into training and validation set" in shown
    assert "split 0" not in shown
    assert report.search is not None
    assert report.train is not None
    seeds = tuple(score.model_copy(update={"split": at}) for at, score in enumerate(report.train.seeds))
    spread = replace(
        report,
        search=report.search.model_copy(update={"splits": 3}),
        train=report.train.model_copy(update={"splits": 3, "seeds": seeds}),
    )
    shown = Page(render(spread)).visible
    assert shown.count("compared over 3 seeds, each on its own split of the data") == 2
    assert "The model is the best of those on split 0" in shown
    assert "Noise between seeds and splits" in shown
    assert "Seed Split Validation loss" in shown


def test_leaderboard_table(rendered: str) -> None:
    """Every candidate with its interval, its distance and its standing."""
    shown = Page(rendered).visible
    assert (
        "one cycle SGD 0.1 0.0584 0.0526 to 0.0642 98.05% 0.0013 at most 0.0063 0.0631 to 0.158 0.4 decades 3 tie"
        in shown
    )
    assert "tie, chosen" in shown


def test_refinement_is_shown_with_what_it_cost(rendered: str) -> None:
    """From which rate, how many trainings, and their length in whole ones."""
    shown = Page(rendered).visible
    assert "6 trainings with a cosine rate, starting from the sweep's 0.178, cost as much as 3.38 whole ones" in shown
    assert "1,620 updates, 9.1 s" in shown


def test_a_refused_range_test_says_why(report: Report) -> None:
    """No rate, no interval, but the reason."""
    assert report.range_test is not None
    refused = report.range_test.model_copy(
        update={"verdict": "refused", "reason": "The loss never fell.", "suggested_lr": None, "suggestions": {}}
    )
    shown = Page(render(replace(report, range_test=refused, trials=None, trainings=()))).visible
    assert "No rate suggested. The loss never fell." in shown
    assert "Suggested initial rate" not in shown


def test_a_given_scheme_leaves_the_search_out(given: Report) -> None:
    """Headings, navigation and figures of skipped stages are absent; the rest is there."""
    page = Page(render(given))
    assert page.text("h2") == [
        "Learning-rate curves",
        "Loss curves",
        "Test results",
        "Data",
        "Costs",
        "How to reproduce",
        "How to read this",
    ]
    assert page.text("nav") == page.text("h2")
    assert "Baselines are" not in page.visible
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 4


def test_regression_shows_no_accuracy(regression: Report) -> None:
    """Losses and the mean absolute error take its place."""
    shown = Page(render(replace(regression, sweep=None, trials=None))).visible
    assert "accuracy" not in shown.lower()
    assert "Validation MAE" in shown
    assert "Test loss 0.0509" in shown


def test_test_results_of_each_seed_and_their_mean(rendered: str) -> None:
    """The rows as they are, the mean last."""
    shown = Page(rendered).visible
    assert "0 0.0561 0.0498 98.42% 9.4 s 1 0.0588 0.0523 98.28% 9.4 s" in shown
    assert "Mean 0.0576 0.0509 98.42% 9.4 s" in shown


def test_where_a_classification_errs(report: Report) -> None:
    """The confusion matrix with its classes as headers, and each hard image with a text in its place."""
    page = Page(render(replace(report, predictions=[make_predictions()], trainings=(), trials=None)))
    assert "of seed 0, has 2 of 3 test examples right. Most often it takes 7 for 1 (1)." in page.visible
    assert "True 1 7 1 1 7 1 1 The hardest" in page.visible
    assert "7 at 15.00% taken for 1 at 80.00% row 2" in page.visible
    (image,) = [attributes for tag, attributes in page.tags if tag == "img"]
    assert image == {"src": f"data:image/png;base64,{PNG}", "alt": "Test image 2: 7"}


def test_of_many_classes_the_most_frequent_errors_are_listed(report: Report) -> None:
    """In a table instead of the matrix."""
    few = make_predictions().model_copy(update={"counts": (), "hardest": ()})
    shown = Page(render(replace(report, predictions=[few], trainings=(), trials=None))).visible
    assert "True Predicted Test examples 7 1 1" in shown
    assert "hardest" not in shown


def test_where_a_regression_errs(regression: Report) -> None:
    """Predicted against true values, and the residuals, drawn and readable."""
    values = Values(name="value 1", true=(1.0, 2.0), predicted=(1.5, 2.5), mean_absolute_error=0.5)
    found = Predictions(seed=2, examples=9, values=(values,))
    page = Page(render(replace(regression, predictions=[found], trainings=(), trials=None, sweep=None)))
    assert "of seed 2: mean absolute error 0.5 over 9 test examples, of which 2 are shown." in page.visible
    texts = page.text("title")
    assert "Predicted against true: true value 2, predicted value 2.5" in texts
    assert "Residuals: predicted value 1.5, predicted minus true 0.5" in texts


def test_where_each_of_several_outputs_errs(regression: Report) -> None:
    """Under its own name: classes, values by the names of their columns, and labels."""
    digit = make_predictions().model_copy(update={"output": "digit"})
    cars = tuple(Values(name=n, true=(1.0, 2.0), predicted=(1.5, 2.5), mean_absolute_error=0.5) for n in ("mpg", "kg"))
    ink = Predictions(seed=0, examples=2, output="ink", values=cars)
    hard = Label(name="rain", found=1, missed=3, wrong=0)
    sky = Predictions(seed=0, examples=9, output="sky", correct=6, classes=("rain", "sun"), labels=(hard,))
    page = Page(render(replace(regression, predictions=[digit, ink, sky], trainings=(), trials=None, sweep=None)))
    headings = ["Where the model errs: digit", "The hardest test images: digit", "Predicted against true: ink"]
    assert [text for text in page.text("h3") if ": " in text] == [*headings, "Where the model errs: sky"]
    assert "mean absolute error 0.5 of mpg, 0.5 of kg over 2 test examples." in page.visible
    assert "Predicted against true of mpg: true value 2, predicted value 2.5" in page.text("title")
    assert "has 6 of 9 test examples right in all 2 labels." in page.visible
    assert "The hardest of 2 labels are shown." in page.visible
    assert "rain 1 3 0 40.00%" in page.visible


def test_costs_add_up(rendered: str) -> None:
    """Time and epochs of each stage, and of all."""
    shown = Page(rendered).visible
    assert "prepare 1.2 s 0" in shown
    assert "search 2 min 21 s 58.5" in shown
    assert "All 3 min 02 s 87.8" in shown


def test_how_to_reproduce(report: Report, rendered: str) -> None:
    """The command, every option, every version, every digest."""
    page = Page(rendered)
    assert page.text("pre") == [report.command]
    shown = page.visible
    for words in ("batch_size 50", "scheme not given", "tensorflow 2.21.0", "9f" * 32):
        assert words in shown


def test_rates_of_layers_are_among_the_options(report: Report) -> None:
    """As set by the model."""
    assert report.train is not None
    changed = replace(report, train=report.train.model_copy(update={"lr_multipliers": {"<base>": 0.1}}))
    assert "Set by the model itself: lr_multipliers &lt;base&gt;=0.1." in render(changed)


def test_where_options_are_from_and_where_the_runs_are(report: Report, rendered: str) -> None:
    """The layer of each option, and a link to each run where a server shows it; only there is an address."""
    page = "http://127.0.0.1:5000/#/experiments/1/runs/ab"
    made = replace(report, origins={"epochs": "config a.yaml"}, trainings=(), trials=None, sweep=None)
    linked = Page(render(replace(made, runs=[StageRun("range_test", "ab", page)])))
    assert "epochs 6 config a.yaml" in linked.visible
    assert "batch_size 50 default" in linked.visible
    assert {"href": page, "target": "_blank", "rel": "noopener"} in [attributes for _, attributes in linked.tags]
    named = render(replace(made, runs=[StageRun("range_test", "ab")]))
    assert "range test ab make ui" in Page(named).visible
    assert "://" not in named
    assert "Runs in MLflow" not in Page(rendered).visible


def test_best_trials_are_listed_by_loss_without_diverged_ones(report: Report, rendered: str) -> None:
    """The lowest loss first."""
    assert report.trials is not None
    shown = Page(rendered).visible
    best = report.trials.sort_values("val_loss").iloc[0]
    assert f"the best first Trial Scheme Initial rate Validation loss Time Parameters {best['number']} " in shown


def test_trials_show_a_searched_weight_decay(report: Report) -> None:
    """Beside the parameters of the scheme, and only where it is not the optimizer's own."""
    assert report.trials is not None
    best = report.trials["val_loss"].idxmin()
    decayed = report.trials.assign(weight_decay=[0.0123 if at == best else nan for at in report.trials.index])
    assert Page(render(replace(report, trials=decayed))).visible.count("decay=0.0123") == 1


def test_no_stages_cost_anything(given: Report) -> None:
    """Nothing to divide by."""
    assert "All 0.0 s 0" in Page(render(replace(given, costs=[], trainings=()))).visible


def test_audits_are_shown(report: Report) -> None:
    """Noise, divergence, importance, and costs in full trainings; without audits, nothing."""
    shown = Page(render(report)).visible
    for text in (
        "standard deviation 0.0042",
        "10.00% of the trials",
        "rate 62.00%, scheme 30.00%, parameters 8.00%",
        "blind search",
        "320,000",
        "trials 6.6 1 min",
    ):
        assert text in shown
    assert report.search is not None
    bare = replace(report, search=report.search.model_copy(update={"audits": None}))
    assert "What the search measured about itself" not in render(bare)


_LAW = BatchScaling(
    optimizer="sgd",
    batch_sizes=(50, 128),
    exponent=0.62,
    exponent_low=0.4,
    exponent_high=0.81,
    rates=(
        ScaledRate(batch_size=25, initial_lr=0.048, lr_low=0.042, lr_high=0.056),
        ScaledRate(batch_size=200, initial_lr=0.174, lr_low=0.128, lr_high=0.227),
    ),
)


def test_several_batch_sizes_are_distinguished(report: Report, rendered: str) -> None:
    """In headline, leaderboard, trials and range tests; with one batch size, nowhere."""
    assert report.search is not None
    assert report.range_test is not None
    assert report.trials is not None
    spaces = tuple(report.search.spaces[0].model_copy(update={"batch_size": size}) for size in (50, 128))
    search = report.search.model_copy(
        update={"spaces": spaces, "untried": ("batch=50 rex", "batch=128 rex"), "batch_scaling": _LAW}
    )
    tests = [report.range_test, report.range_test.model_copy(update={"batch_size": 128, "verdict": "refused"})]
    shown = Page(render(replace(report, search=search, range_tests=tests))).visible
    for words in (
        "Train SGD with batches of 50, the cosine scheme",
        "The range test of batch=128 refused to suggest a rate",
        "SGD, batch 50, final_fraction=0.01",
        "Optimizer Batch size Suggested rate Interval to search SGD 50 0.0562 0.0032 to 0.32 SGD 128 refused",
        "2 combinations not tried within the budget: nothing is known about them. "
        "What was not tried batch=50 rex, batch=128 rex.",
        "Other budgets and batch sizes At other batch sizes, the best initial rate of SGD is about proportional to the "
        "batch size to the power of 0.62 (95% interval 0.4 to 0.81, measured at 50 and 128): use about 0.048 with "
        "batches of 25 (0.042 to 0.056) and 0.174 with batches of 200 (0.128 to 0.227).",
    ):
        assert words in shown
        assert words not in Page(rendered).visible
    assert "batch=50 cosine" in shown
    assert "batches of" not in Page(rendered).visible


def test_other_budgets_and_batch_sizes(transferred: Report, rendered: str) -> None:
    """The verdicts on the winner in a sentence and a table; a rate that was only calculated is labelled as such."""
    shown = Page(render(transferred)).visible
    for words in (
        "With half the epochs (3) it may still be the best, but nothing distinguishes it from one cycle and SGD at "
        "0.01 (at most 0.0051 behind).",
        "With double the epochs (12) it is beaten: the best is one cycle.",
        "2 times 12 0.08 0.07 to 0.09 0.004 at most 0.0062 3 one cycle worse",
        "0.112 for batches of 100. This is a suggestion, not measured: the rate found for batches of 50, scaled in "
        "proportion to the batch size (Goyal et al. 2017",
    ):
        assert words in shown
    assert "Other budgets" not in Page(rendered).visible


def test_a_rule_of_thumb_names_what_measures(transferred: Report) -> None:
    """If trainings at other batch sizes showed nothing, the page says so, and names no option for them."""
    assert transferred.search is not None
    measures = "To measure it, pass batch_transfer=true"
    nothing = "The trainings with batches of 12, 50 and 200 do not show how the best initial rate depends on the batch"
    shown = Page(render(transferred)).visible
    assert measures in shown
    assert nothing not in shown
    tried = transferred.search.model_copy(update={"further_batch_sizes": (12, 200), "transfer": ()})
    shown = Page(render(replace(transferred, search=tried))).visible
    assert measures not in shown
    assert nothing in shown
    assert "0.112 for batches of 100. This is a suggestion, not measured" in shown


def test_another_objective_is_shown_wherever_the_search_is(maximised: Report) -> None:
    """In tables, captions and axes, next to the validation loss; the best trial has the highest value."""
    shown = Page(render(maximised)).visible
    assert "Scheme Initial rate Validation gain Validation loss Behind the best" in shown
    assert "one cycle SGD 0.1 0.9416 0.936 to 0.947 0.0584 0.0013 at most 0.0063" in shown
    assert "Mean validation gain at the full budget with its own 95% interval; higher is better." in shown
    assert "standard deviation 0.0042 of the validation gain at the full budget" in shown
    assert maximised.trials is not None
    best = maximised.trials.sort_values("val_gain", ascending=False).iloc[0]
    assert f"the best first Trial Scheme Initial rate Validation gain Time Parameters {best['number']} " in shown


def test_a_small_budget_gives_a_short_page(report: Report, rendered: str) -> None:
    """One trial and nothing compared: no leaderboard of one, no figure of one point, and no word of a tie."""
    assert report.search is not None
    assert report.trials is not None
    first = report.search.leaderboard[0]
    basin = report.search.basin.model_copy(
        update={"rates": (0.0562,), "values": (0.12,), "lr_low": 0.0562, "lr_high": 0.0562, "decades": 0.0}
    )
    alone = report.search.model_copy(
        update={
            "leaderboard": (first.model_copy(update={"seeds": (), "basin": basin}),),
            "baselines": (), "ties": (), "basin": basin, "trials": 1,
        }
    )  # fmt: skip
    winners = [training for training in report.trainings if training.role == "winner"]
    text = render(replace(report, search=alone, trials=report.trials.head(1), trainings=winners))
    page = Page(text)
    assert page.text("h2") == [
        "Range test", "Learning-rate curves", "Loss curves", "Leaderboard", "Trials", "Test results", "Data", "Costs",
        "How to reproduce", "How to read this",
    ]  # fmt: skip
    assert page.text("nav") == page.text("h2")
    assert "not compared" in page.visible
    for words in ("tie", "Tie", "Rates as good", "nan", "Baselines are"):
        assert words not in page.visible
    assert len(text) < 0.7 * len(rendered)
