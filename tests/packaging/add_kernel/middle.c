#include "ecg.h"

int middle(void);
int middle(void) { return ecg_run(); }
