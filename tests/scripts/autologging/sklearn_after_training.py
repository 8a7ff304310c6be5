"""What is measured after training: metrics of `sklearn.metrics`, scores, and what must not be logged."""

import mlflow

mlflow.autolog()
import sklearn.metrics  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error  # noqa: E402
from sklearn.model_selection import cross_val_score, train_test_split  # noqa: E402

X, y = load_iris(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
with mlflow.start_run():
    model = LogisticRegression(max_iter=500).fit(X_train, y_train)
    predictions = model.predict(X_test)
    accuracy_score(y_test, predictions)
    accuracy_score(y_test, predictions, normalize=False)
    f1_score(y_test, predictions, average="macro")
    model.score(X_test, y_test)
    model.score(X_test[:20], y_test[:20])
    sklearn.metrics.log_loss(y_test, model.predict_proba(X_test))
    accuracy_score(y_test, predictions.copy())
    cross_val_score(LogisticRegression(max_iter=500), X, y, cv=3)
    other = LinearRegression()
    other.fit(X_train, y_train)
    mean_squared_error(y_test, other.predict(X_test))
    mean_squared_error(y_pred=other.predict(X_train), y_true=y_train)
