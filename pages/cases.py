"""Acompanhamento: the open cases of a merchant across periods, by age and owner."""

from lib.ui import case_board, case_scope

case_board.show(case_scope.enter("cases"))
