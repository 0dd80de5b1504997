"""Planted bugs at the border of the core: threads, arrays that change, the end of the process."""

from __future__ import annotations

from mutations.planted_mutation import Mutation

__all__ = ["BORDER_MUTATIONS"]

BORDER_MUTATIONS = [
    Mutation(
        "labels read where the program can change them",
        "cpp/bindings/sample_args.hpp",
        "const std::int64_t* labels = kept.copy(classes, rows);",
        "const std::int64_t* labels = kept.borrow(classes);",
    ),
    Mutation(
        "order read where the program can change it",
        "cpp/bindings/sample_args.hpp",
        "const std::int64_t* index = kept.copy(array);",
        "const std::int64_t* index = kept.borrow(array);",
    ),
    Mutation(
        "row starts read where the program can change them",
        "cpp/bindings/sample_args.hpp",
        "rows.row_starts = kept.copy(starts);",
        "rows.row_starts = kept.borrow(starts);",
    ),
    Mutation(
        "columns of sparse samples not bounded",
        "cpp/network/input.cpp",
        "return std::min<std::int64_t>(column, features - 1);",
        "return column;",
    ),
    Mutation(
        "arrays that are not aligned taken",
        "cpp/bindings/array_args.hpp",
        "% alignof(T) == 0;",
        "% alignof(T) < sizeof(T);",
    ),
    Mutation(
        "threads not tried out before libgomp creates them",
        "cpp/base/team_openmp.cpp",
        "return t_pool.threads + creatable_threads(wanted - t_pool.threads, g_stack_bytes);",
        "return wanted;",
    ),
    Mutation(
        "memory of a team that is never smaller than planned",
        "cpp/network/run_memory.cpp",
        "for (int team = 1; team <= threads; ++team) {",
        "for (int team = threads; team <= threads; ++team) {",
    ),
    Mutation(
        "the end of a thread unwound through the core",
        "cpp/bindings/computation.cpp",
        "  } catch (abi::__forced_unwind&) {\n    sleep_for_ever();\n  }\n#else\n  result",
        "  } catch (abi::__forced_unwind&) {\n    throw;\n  }\n#else\n  result",
    ),
    Mutation(
        "a state restored as far as it goes",
        "cpp/bindings/bind_training.cpp",
        "      replacements.push_back({&array, values, arrays});\n",
        "      replacements.push_back({&array, values, arrays});\n      if (arrays != nullptr) state.mlp.set(array, values.data(), arrays);\n",
    ),
    Mutation(
        "first step not bounded",
        "cpp/bindings/bind_training.cpp",
        "require(first_step >= 0 && first_step <= whole_steps,",
        "require(first_step >= 0,",
    ),
]
