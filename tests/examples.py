"""Pipelines that tests live through: the files of each, to be dedented."""

# Images in a folder, within another one that `dvc add` tracks, with labels beside them; one model
# per region by a matrix; a sub-pipeline that makes one model of them; a stage of the shell in a
# separate folder; a path that conf/ sets; metrics in a folder, which the top of dvc.yaml names.
REGIONS = {
    "dvc.yaml": """
        vars:
          - regions: [north, south]
        stages:
          compose:
            cmd: lockstep compose
            deps: [conf]
            outs:
              - params.yaml: {cache: false, persist: true}
              - composed.yaml: {cache: false, persist: true}
          measure:
            cmd: lockstep run toy.measure data/in/images data/in/labels.csv data/rows.csv
            deps: [src/toy/measure.py, data/in/images, data/in/labels.csv]
            outs: [data/rows.csv]
          split:
            cmd: lockstep run toy.split data/rows.csv data/train.csv data/test.csv
            deps: [src/toy/split.py, data/rows.csv]
            params: [data.rows]
            outs: [data/train.csv, data/test.csv]
          note:
            wdir: notes
            cmd: echo made of ../data/train.csv > note.txt
            deps: [../data/train.csv]
            outs: [note.txt]
          train:
            matrix: {region: "${regions}"}
            cmd: lockstep run toy.regional data/train.csv models/${item.region}.joblib
            deps: [src/toy/regional.py, data/train.csv, notes/note.txt]
            params: [data.target, model, {composed.yaml: [packages]}, {more.toml: [fit.seed]}]
            outs: ["models/${item.region}.joblib"]
          evaluate:
            cmd: >-
              lockstep run toy.evaluate models/all/model.joblib data/test.csv
              ${results}/metrics.json ${results}/predictions.parquet ${results}/evaluation.json
            deps: [src/toy/evaluate.py, src/toy/scoring.py, models/all/model.joblib, data/test.csv]
            params: [data.target]
            outs: ["${results}"]
          publish:
            cmd: lockstep publish
            deps: [models/all, "${results}"]
            params: [data, model, tracking, registry, {composed.yaml: [packages]}]
        metrics: ["${results}/metrics.json"]
        artifacts:
          every: &model
            path: models/all/model.joblib
            type: model
            meta:
              example: models/all/example.parquet
              test: data/test.csv
              predictions: ${results}/predictions.parquet
              evaluation: ${results}/evaluation.json
          north: {path: models/north.joblib, type: model}
        """,
    "models/all/dvc.yaml": """
        stages:
          join:
            cmd: >-
              lockstep run toy.join ../north.joblib ../south.joblib ../../data/train.csv
              model.joblib example.parquet
            deps: [../../src/toy/join.py, ../north.joblib, ../south.joblib, ../../data/train.csv]
            params: [../../params.yaml: [data.target]]
            outs: [model.joblib, example.parquet]
        """,
    "src/toy/measure.py": '''
        """Measure the brightness of images, which are in a folder for each region."""

        import numpy as np
        import pandas as pd
        from PIL import Image


        def main(cfg, images, labels, rows):
            """Run the stage."""
            table = pd.read_csv(labels)
            files = [images / region / name for region, name in zip(table.region, table.image)]
            table["x"] = [np.asarray(Image.open(file)).mean() for file in files]
            table[["region", "x", "y"]].to_csv(rows, index=False)
        ''',
    "src/toy/regional.py": '''
        """Fit the model of one region."""

        import joblib
        import pandas as pd
        from hydra.utils import instantiate


        def main(cfg, train, model):
            """Run the stage."""
            table = pd.read_csv(train).query("region == @model.stem")
            assert cfg.fit.seed == 7
            features = table[["x"]]
            joblib.dump(instantiate(cfg.model).fit(features, table[cfg.data.target]), model)
        ''',
    "src/toy/tune.py": '''
        """Score a config for a region on its training rows."""

        import pandas as pd
        from hydra.utils import instantiate


        class Objective:
            """The error on the rows that the model has seen."""

            def __init__(self, train, note, *, target):
                table = pd.read_csv(train).query("region == 'north'")
                self._features, self._target = table[["x"]], table[target]

            def __call__(self, cfg):
                model = instantiate(cfg.model).fit(self._features, self._target)
                yield float(abs(model.predict(self._features) - self._target).mean())
        ''',
    "src/toy/join.py": '''
        """Make one model of those of the regions."""

        import joblib
        import pandas as pd
        from sklearn.base import BaseEstimator, RegressorMixin


        class ByRegion(RegressorMixin, BaseEstimator):
            """Asks the model of a row's region."""

            def __init__(self, models=None):
                self.models = models

            def predict(self, rows):
                """One number for each row."""
                return [
                    float(self.models[region].predict(pd.DataFrame({"x": [x]}))[0])
                    for region, x in zip(rows["region"], rows["x"], strict=True)
                ]


        def main(cfg, north, south, train, model, example):
            """Run the stage."""
            models = {path.stem: joblib.load(path) for path in (north, south)}
            joblib.dump(ByRegion(models), model)
            rows = pd.read_csv(train).drop(columns=cfg.data.target)
            rows.astype({"x": float}).to_parquet(example)
        ''',
    "data/in/labels.csv": "region,image,y\n"
    + "".join(
        f"north,{x}.pgm,{north}\nsouth,{x}.pgm,{south}\n"
        for x, north, south in [(1, 2, 1), (2, 4, 2), (3, 6.5, 3), (4, 8, 4.5), (5, 9, 5)]
    ),
    **{
        f"data/in/images/{region}/{x}.pgm": f"P2 2 2 9\n{x} {x} {x} {x}\n"
        for region in ("north", "south")
        for x in range(1, 6)
    },
    "more.toml": "[fit]\nseed = 7\n",
    "notes/.keep": "",
}

# What a project adds to a pipeline that was brought over: a search, and rows of input for a server.
SWEEP = {
    "conf/sweep/default.yaml": """
        space: {train.n_est: "range(1,4)"}
        metric: acc.test
        direction: maximize
        objective: {_target_: tune.Objective}
        """,
    "src/tune.py": """
        import pickle

        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import cross_val_score


        class Objective:
            def __init__(self, features):
                self.data = pickle.load((features / "train.pkl").open("rb"))

            def __call__(self, cfg):
                forest = RandomForestClassifier(n_estimators=cfg.train.n_est)
                yield float(cross_val_score(forest, *self.data, cv=2).mean())
        """,
}

# The form of DVC's own example (example-get-started): four scripts, a pickle, metrics and plots in
# a folder, params by section; no function of Lockstep anywhere.
TEXT = {
    "dvc.yaml": """
        artifacts:
          text-classification:
            path: model.pkl
            desc: Detect whether the given question is about R
            type: model
            labels: [nlp, classification]
        stages:
          prepare:
            cmd: python src/prepare.py data/data.xml
            deps:
            - data/data.xml
            - src/prepare.py
            params:
            - prepare.seed
            - prepare.split
            outs:
            - data/prepared
          featurize: # words -> numbers
            cmd: python src/featurization.py data/prepared data/features
            deps:
            - data/prepared
            - src/featurization.py
            params:
            - featurize.max_features
            - featurize.ngrams
            outs:
            - data/features
          train:
            cmd: python src/train.py data/features model.pkl
            deps:
            - data/features
            - src/train.py
            params:
            - train.min_split
            - train.n_est
            - train.seed
            outs:
            - model.pkl
          evaluate:
            cmd: python src/evaluate.py model.pkl data/features
            deps:
            - data/features
            - model.pkl
            - src/evaluate.py
            outs:
            - eval

        # What DVC shows.
        metrics:
        - eval/metrics.json
        plots:
        - ROC:
            x: fpr
            y: {eval/plots/roc.json: tpr}
        """,
    "params.yaml": """
        # All params.

        # How much is kept for testing.
        prepare:
          split: 0.25
          seed: 20170428

        featurize: {max_features: 20, ngrams: 2}

        train:
          seed: 20170428
          n_est: 5 # trees
          min_split: 1e-2
        """,
    "src/prepare.py": """
        import json, random, sys, xml.etree.ElementTree as tree
        from pathlib import Path

        import yaml

        params = yaml.safe_load(open("params.yaml"))["prepare"]
        posts = tree.parse(sys.argv[1]).getroot()
        rows = [[row.get("Body"), "<r>" in row.get("Tags")] for row in posts]
        random.Random(params["seed"]).shuffle(rows)
        count = int(len(rows) * params["split"])
        Path("data/prepared").mkdir(parents=True)
        Path("data/prepared/test.json").write_text(json.dumps(rows[:count]))
        Path("data/prepared/train.json").write_text(json.dumps(rows[count:]))
        """,
    "src/featurization.py": """
        import json, pickle, sys
        from pathlib import Path

        import yaml
        from sklearn.feature_extraction.text import CountVectorizer

        params = yaml.safe_load(open("params.yaml"))["featurize"]
        source, target = map(Path, sys.argv[1:])
        sizes = {"max_features": params["max_features"], "ngram_range": (1, params["ngrams"])}
        count = CountVectorizer(**sizes)
        target.mkdir(parents=True)
        for name, learn in (("train", count.fit_transform), ("test", count.transform)):
            texts, labels = zip(*json.loads((source / f"{name}.json").read_text()))
            with (target / f"{name}.pkl").open("wb") as file:
                pickle.dump((learn(texts).toarray(), labels), file)
        """,
    "src/train.py": """
        import pickle, sys
        from pathlib import Path

        import yaml
        from sklearn.ensemble import RandomForestClassifier

        params = yaml.safe_load(open("params.yaml"))["train"]
        features, labels = pickle.load((Path(sys.argv[1]) / "train.pkl").open("rb"))
        forest = RandomForestClassifier(
            n_estimators=params["n_est"],
            min_samples_split=float(params["min_split"]),
            random_state=params["seed"],
        )
        pickle.dump(forest.fit(features, labels), open(sys.argv[2], "wb"))
        """,
    "src/evaluate.py": """
        import json, pickle, sys
        from pathlib import Path

        model = pickle.load(open(sys.argv[1], "rb"))
        features, labels = pickle.load((Path(sys.argv[2]) / "test.pkl").open("rb"))
        Path("eval/plots").mkdir(parents=True)
        metrics = {"acc": {"test": model.score(features, labels)}}
        Path("eval/metrics.json").write_text(json.dumps(metrics))
        points = [{"fpr": 0, "tpr": 0}, {"fpr": 1, "tpr": 1}]
        Path("eval/plots/roc.json").write_text(json.dumps(points))
        """,
    "data/data.xml": "<posts>"
    + "".join(
        f'<row Tags="&lt;{("r", "python")[n % 2]}&gt;" Body="how to {("plot", "map")[n % 2]} {n}"/>'
        for n in range(16)
    )
    + "</posts>",
    ".dvc/config": "[core]\n    analytics = false\n",
    ".gitignore": "__pycache__/\n",
}

# A time series with a model of statsmodels, and a page that a notebook makes; stages are scripts of
# other tools, and `params` stands in a TOML file besides.
SERIES = {
    "dvc.yaml": """
        stages:
          compose:
            cmd: lockstep compose
            deps: [conf]
            outs:
              - params.yaml: {cache: false, persist: true}
              - composed.yaml: {cache: false, persist: true}
          fit:
            cmd: python src/fit.py
            deps: [src/fit.py, data/months.csv]
            params: [order, {test.toml: [months]}]
            outs: [model.pickle, example.parquet, test.parquet]
          evaluate:
            cmd: papermill evaluate.ipynb evaluated.ipynb --no-progress-bar --kernel python3
            deps: [evaluate.ipynb, src/scoring.py, model.pickle, test.parquet]
            outs: [predictions.parquet]
            metrics: [metrics.json: {cache: false}]
          publish:
            cmd: lockstep publish
            deps: [model.pickle, example.parquet, metrics.json, predictions.parquet]
            params: [order, tracking, registry, {test.toml: [months]}]
        artifacts:
          forecast:
            path: model.pickle
            type: model
            meta:
              example: example.parquet
              test: test.parquet
              predictions: predictions.parquet
        """,
    "conf/config.yaml": """
        order: [1, 0, 0]
        tracking: {experiment: months}
        registry:
          {name: months, alias: challenger, policy: manual, metric: error, direction: minimize}
        environment: [statsmodels]
        """,
    "test.toml": "months = 4\n",
    "pyproject.toml": '[tool.lockstep]\nscoring = "scoring"\n',
    "src/fit.py": """
        import tomllib

        import pandas as pd
        import yaml
        from statsmodels.tsa.arima.model import ARIMA

        params = yaml.safe_load(open("params.yaml"))
        months = tomllib.load(open("test.toml", "rb"))["months"]
        values = pd.read_csv("data/months.csv")["value"]
        last = len(values) - 1
        ARIMA(values[:-months], order=params["order"]).fit().save("model.pickle")
        pd.DataFrame({"start": [last - months + 1], "end": [last]}).to_parquet("example.parquet")
        values[-months:].to_frame().to_parquet("test.parquet")
        """,
    "src/scoring.py": '''
        """Measure a forecast."""

        import pandas as pd


        def predict(model, test, cfg):
            """The forecast for the months of a file."""
            actual = pd.read_parquet(test)["value"]
            wanted = pd.DataFrame({"start": [actual.index[0]], "end": [actual.index[-1]]})
            predicted = pd.Series(model.predict(wanted).to_numpy().ravel(), actual.index)
            return pd.DataFrame({"actual": actual, "predicted": predicted})


        def scorer(predictions, names):
            """A function that measures some of the months."""
            errors = (predictions["actual"] - predictions["predicted"]).abs().to_numpy()
            return lambda rows: {name: float(errors[rows].mean()) for name in names}
        ''',
    "data/months.csv": "value\n" + "".join(f"{10 + n % 5 + n % 3 / 2}\n" for n in range(40)),
    ".dvc/config": "[core]\n    analytics = false\n[hydra]\n    enabled = true\n",
    ".gitignore": "/mlflow.db*\n/mlartifacts/\n/evaluated.ipynb\n__pycache__/\n",
}
NOTEBOOK = """
import json, pickle, sys
sys.path.insert(0, "src")
import pandas as pd
import scoring

class Model:
    def predict(self, rows):
        results = pickle.load(open("model.pickle", "rb"))
        return results.predict(rows["start"][0], rows["end"][0])

table = scoring.predict(Model(), "test.parquet", None)
table.to_parquet("predictions.parquet")
json.dump(scoring.scorer(table, ["error"])(range(len(table))), open("metrics.json", "w"))
"""
