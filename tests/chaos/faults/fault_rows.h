// The table of faults: who is struck at which instant, and in which companies.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "tests/chaos/faults/faulted_run.h"

namespace convoy::chaos {

struct Fault {
  std::string name;
  std::string at;             // CONVOY_AT
  std::vector<int> hit = {};  // workers, by the launcher's numbers, that do not live through it
  int replacements_hit = 0;
  bool scheduler_hit = false;
  // Whether the run waits with fewer workers than it began with: so it is sure to last until the replacements are in.
  bool waits = false;
  // Whether it may happen that nobody comes by: the donor, for one, is drawn by chance.
  bool may_miss = false;
  // Whoever was stopped goes on after so long; 0: never.
  int continued_after_ms = 0;
  // Whether it is to end with exit code 75, from where another run goes on.
  bool stops = false;
  // It does not end as it should yet: only the whole table has it.
  bool fails_yet = false;
  std::vector<std::string> launch = {};  // further options of `convoy launch`
};

struct Row {
  Fault fault;
  Company company;
};
std::string name_of(const Row& row);
void PrintTo(const Row& row, std::ostream* out);

// What can happen to a run of so many workers.
std::vector<Fault> faults_of(int workers);
// Every fault in every company: 3 and 4 workers, dynamic and static graphs, each engine.
std::vector<Row> all_rows();
// Every fault once, the companies in turn.
std::vector<Row> chosen_rows();

}  // namespace convoy::chaos
