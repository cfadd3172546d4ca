#include "backend/fault.h"

/* SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
static uint64_t splitmix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

void fault_rules_begin(struct fault_rules *rules)
{
	for (unsigned i = 0; i < rules->nr; i++) {
		struct fault_rule *rule = &rules->rule[i];

		rule->asked = rule->fired = 0;
		rule->random = splitmix(splitmix(rule->seed) + i);
		if (rule->random == 0) /* the one state that xorshift never leaves */
			rule->random = 1;
	}
}

uint64_t fault_random(struct fault_rule *rule)
{
	rule->random ^= rule->random >> 12;
	rule->random ^= rule->random << 25;
	rule->random ^= rule->random >> 27;
	return rule->random * UINT64_C(2685821657736338717);
}

bool fault_fires(struct fault_rule *rule)
{
	rule->asked++;
	if (rule->times && rule->fired == rule->times)
		return false;
	if (rule->every && rule->asked % rule->every != 0)
		return false;
	if (rule->chance && (fault_random(rule) >> 8) % FAULT_CERTAIN >= rule->chance)
		return false;
	rule->fired++;
	return true;
}
