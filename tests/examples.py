"""Pipelines that tests live through: the files of each, to be dedented."""

# One model per region by a matrix; a sub-pipeline that makes one model of them; a stage of the
# shell in a separate folder; raw data within a folder that `dvc add` tracks; a path that conf/
# sets; metrics in a folder, which the top of dvc.yaml names.
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
          split:
            cmd: lockstep run toy.split data/in/rows/raw.csv data/train.csv data/test.csv
            deps: [src/toy/split.py, data/in/rows]
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
    "data/in/rows/raw.csv": (
        "region,x,y\nnorth,1,2\nsouth,1,1\nnorth,2,4\nsouth,2,2\nnorth,3,6.5\nsouth,3,3\n"
        "north,4,8\nsouth,4,4.5\nnorth,5,9\nsouth,5,5\n"
    ),
    "more.toml": "[fit]\nseed = 7\n",
    "notes/.keep": "",
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
