"""scikit-learn's estimators of each kind, each in a run of its own."""

import mlflow
import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

mlflow.sklearn.autolog(log_input_examples=True)
X, y = load_iris(return_X_y=True, as_frame=True)
binary = y < 1
weights = np.linspace(0.5, 1.5, len(y))
with mlflow.start_run(run_name="01 binary classifier"):
    LogisticRegression(max_iter=50, C=0.2).fit(X, binary, sample_weight=weights)
with mlflow.start_run(run_name="02 classifier of three"):
    LogisticRegression(max_iter=500).fit(X, y)
with mlflow.start_run(run_name="03 regressor"):
    LinearRegression().fit(X.to_numpy(), y.to_numpy())
with mlflow.start_run(run_name="04 pipeline"):
    make_pipeline(ColumnTransformer([("scale", StandardScaler(), list(X.columns))]), SVC()).fit(X, y)
with mlflow.start_run(run_name="05 meta-estimator"):
    VotingClassifier([("a", LogisticRegression(max_iter=500)), ("b", SVC())]).fit(X, y)
with mlflow.start_run(run_name="06 transformer"):
    PCA(n_components=2).fit_transform(X)
with mlflow.start_run(run_name="07 clusters"):
    KMeans(n_clusters=3, n_init=1, random_state=0).fit_predict(X)
with mlflow.start_run(run_name="08 forest"):
    RandomForestRegressor(n_estimators=5, random_state=0).fit(X, pd.Series(y, name="species"))
LogisticRegression(max_iter=500).fit(X, y)
