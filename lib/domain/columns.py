"""Column names in sheet order, and the labels in columns of categories.

Column names are literals only here and in the aliases of SQL.
"""

from typing import Final

NUM_CPF: Final = "num_cpf"
NUM_CARTAO: Final = "num_cartao"
NUM_CARTAO_VIRTUAL: Final = "num_cartao_virtual"
DATA_TRANSA: Final = "data_transa"
HORA_TRANSA: Final = "hora_transa"
VLR_TOTAL: Final = "vlr_total"
DES_CNPJ_REDUZIDO: Final = "des_cnpj_reduzido"

DATA: Final = "data"
HORA: Final = "hora"
COD_RESPOSTA: Final = "cod_resposta"
DES_LOG: Final = "des_log"
DES_LINHA_RECEBIMENTO: Final = "des_linha_recebimento"
TIMES: Final = (HORA_TRANSA, HORA)

TIPO_MATCH: Final = "tipo_match"
DIF_SEGUNDOS: Final = "dif_segundos"
MOTIVO: Final = "motivo"

# Columns of the dashboard's tables and of the engines' results, in no sheet.
MOTIVO_SEM_LOG: Final = "motivo_sem_log"
VIRTUAL_MANTIDO: Final = "num_cartao_virtual_mantido"
MANTIDA: Final = "transacao_mantida"
SOBREVIVENTE_VIRTUAL: Final = "sobrevivente_num_cartao_virtual"
POR_QUE: Final = "por_que"

# Matching keys, computed by the servers; never shown, and in no report.
TOKEN_CARTAO: Final = "token_cartao"
TOKEN_VIRTUAL: Final = "token_virtual"
TOKEN_CPF: Final = "token_cpf"
TOKENS: Final = (TOKEN_CARTAO, TOKEN_VIRTUAL, TOKEN_CPF)

# Columns that a source query must return.
TRANSACTIONS_QUERY: Final = (
    NUM_CPF,
    NUM_CARTAO,
    NUM_CARTAO_VIRTUAL,
    DATA_TRANSA,
    HORA_TRANSA,
    VLR_TOTAL,
    DES_CNPJ_REDUZIDO,
)
AUTH_LOGS_QUERY: Final = (NUM_CARTAO, DATA, HORA, COD_RESPOSTA, DES_LOG, DES_LINHA_RECEBIMENTO)

# Columns that an extraction returns: those for display (masked unless clear), then the keys.
TRANSACTIONS: Final = (*TRANSACTIONS_QUERY, TOKEN_CARTAO, TOKEN_VIRTUAL, TOKEN_CPF)
AUTH_LOGS: Final = (NUM_CARTAO, DATA, HORA, COD_RESPOSTA, DES_LOG, TOKEN_CARTAO)
AUTH_LOGS_CLEAR: Final = (*AUTH_LOGS[:-1], DES_LINHA_RECEBIMENTO, TOKEN_CARTAO)

# Copies of one transaction are equal in these columns (compared by token where there is one).
DUPLICATE_KEY: Final = (NUM_CPF, NUM_CARTAO, DATA_TRANSA, HORA_TRANSA, VLR_TOTAL)

# The sheets of the report.
SHEET_DIVERGENCES: Final = "Divergentes"
SHEET_CONSOLIDATED: Final = "Transacoes Consolidadas"
DIVERGENCES: Final = (NUM_CARTAO, DATA, HORA, COD_RESPOSTA, DES_LOG, MOTIVO)
# Further columns of the divergences where a site asks for them, the last ones.
SITUACAO: Final = "situacao"
DESDE: Final = "desde"
RESPONSAVEL: Final = "responsavel"
CASE_COLUMNS: Final = (SITUACAO, DESDE, RESPONSAVEL)
CONSOLIDATED: Final = (*TRANSACTIONS_QUERY, COD_RESPOSTA, DES_LOG, TIPO_MATCH, DIF_SEGUNDOS)

# Values of tipo_match and of motivo.
FISICO: Final = "físico"
VIRTUAL: Final = "virtual"
NEGADA: Final = "negada"
RECENTE: Final = "recente"
FORA_DA_TOLERANCIA: Final = "fora da tolerância"
APROVADA_SEM_TRANSACAO: Final = "aprovada sem transação"
MOTIVOS: Final = (NEGADA, RECENTE, FORA_DA_TOLERANCIA, APROVADA_SEM_TRANSACAO)

# Reasons why a transaction has no log.
SEM_LOG_DO_CARTAO: Final = "sem log do cartão"
LOG_USADO: Final = "log usado por outra transação"
WITHOUT_LOG_REASONS: Final = (SEM_LOG_DO_CARTAO, FORA_DA_TOLERANCIA, LOG_USADO)

# Reasons why a copy of a transaction was removed in favour of another.
PAR_PELO_VIRTUAL: Final = "o par escolhido usa o cartão virtual da outra cópia"
SEM_NUMERO_VIRTUAL: Final = "a outra cópia traz o cartão virtual"
DESEMPATE: Final = "desempate pelos valores visíveis"
COPIA_IGUAL: Final = "cópia idêntica"
DUPLICATE_REASONS: Final = (PAR_PELO_VIRTUAL, SEM_NUMERO_VIRTUAL, DESEMPATE, COPIA_IGUAL)

# States of the copy that was kept in place of a removed one.
CONSOLIDADA: Final = "consolidada"
SEM_LOG: Final = "sem log"
