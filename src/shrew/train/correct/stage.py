"""The complete second stage: from a run and its corrections to a corrected run and a report of the changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from shrew.corpus import Corpus, Document, encode_documents
from shrew.engine import Model
from shrew.errors import DataError
from shrew.evaluation import answer_accuracy
from shrew.image import Source, WeightType, image_of
from shrew.model.parameters import Parameters
from shrew.run import LoadedRun
from shrew.train.correct.confusions import Confusion, Confusions, Mining, blurred, prefers_wrong
from shrew.train.correct.correction import CorrectionConfig, correct

#: Number of learnt questions that the model is asked again.
ASKED_AGAIN = 300


@dataclass(frozen=True)
class Outcome:
    """One line of the report: a total, and the counts before and after."""

    what: str
    asked: int
    before: int
    after: int


class SecondStage:
    """Corrects the model of ``loaded``, which learnt ``corpus``. Without ``questions``, finds mistakes itself."""

    def __init__(
        self,
        loaded: LoadedRun,
        corpus: Corpus,
        questions: Sequence[Document],
        mining: Mining,
        how: CorrectionConfig,
        executor: Executor | None = None,
    ) -> None:
        self.config, self.tokenizer = loaded.run.config.model, loaded.tokenizer
        self.before = loaded.parameters
        self.corpus, self.how, self.executor = corpus, how, executor
        finder = Confusions(corpus.train, self.tokenizer, self.config, self.before, executor)
        if questions:
            found = finder.of([document for document in questions if document.prompt], mining)
        else:
            found = finder.own_mistakes(mining, how.seed)
        self.confusions = [confusion for confusion in found if confusion.confusable]
        if not self.confusions:
            raise DataError("nothing to correct: no question was found that another answer comes near to")
        self._corrections = finder.corrections(self.confusions)

    @property
    def pairs(self) -> int:
        """The number of pairs of a question and a confusable answer."""
        return sum(len(confusion.confusable) for confusion in self.confusions)

    def correct(self, *, plain: bool = False, progress: Callable[[int, float], None] | None = None) -> Parameters:
        """The corrected parameters. ``plain``: uses ordinary training on the right answers and the corpus instead."""
        if plain:
            others, how = self.corpus.train, self.how.without_corrections()
        else:
            others, how = blurred(self.corpus.train, self.how.seed), self.how
        encoded = encode_documents(others, self.tokenizer)
        return correct(
            self.config, self.before, self._corrections, encoded, how, executor=self.executor, progress=progress
        )

    def outcomes(self, after: Parameters) -> list[Outcome]:
        """Changes on the corrections, on held-out questions with the same confusable answers, and on the rest."""
        wrong: dict[str, dict[str, None]] = {}
        for confusion in self.confusions:
            wrong.setdefault(confusion.document.response, {}).update(dict.fromkeys(confusion.confusable))
        corrected = {confusion.document.prompt for confusion in self.confusions}
        held_out = [d for d in self.corpus.held_out if d.prompt and d.prompt not in corrected]
        alike = [
            Confusion(document, tuple(wrong[document.response])) for document in held_out if document.response in wrong
        ]
        rest = [document for document in held_out if document.response not in wrong]
        learnt = [document for document in self.corpus.train if document.prompt]
        some = np.random.default_rng(self.how.seed).permutation(len(learnt))[:ASKED_AGAIN]
        models = [self._image(parameters) for parameters in (self.before, after)]
        lines = [
            self._preferred("corrections: a confusable answer is likelier", self.confusions, after),
            self._preferred("new phrasings: a confusable answer is likelier", alike, after),
            _right("new phrasings of what was corrected: right answers", [c.document for c in alike], models),
            _right("other held-out questions: right answers", rest, models),
            _right("questions learnt in the first stage: right answers", [learnt[i] for i in some], models),
        ]
        return [line for line in lines if line.asked]

    def _preferred(self, what: str, confusions: Sequence[Confusion], after: Parameters) -> Outcome:
        (before, asked), (now, _) = (
            prefers_wrong(self.config, parameters, self.tokenizer, confusions, self.executor)
            for parameters in (self.before, after)
        )
        return Outcome(what, asked, before, now)

    def _image(self, parameters: Parameters) -> Model:
        source = Source(self.config, parameters, self.tokenizer)
        return Model.from_bytes(image_of(source, WeightType("q8")), "q8")


def _right(what: str, documents: Sequence[Document], models: Sequence[Model]) -> Outcome:
    pairs = [(document.prompt, document.response) for document in documents]
    before, after = (answer_accuracy(model, pairs).right for model in models)
    return Outcome(what, len(pairs), before, after)
