"""Which tests prove which behaviour of `nn.Module`: a map from the sections of its checklist, kept true by a test.

Each entry names a behaviour and tests of tests/test_module_*.py, tests/test_layers*.py or, from `live` on, programs of
tests/parity/test_module_behaviour_live.py, which run it in PyTorch as well.
"""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent

BEHAVIOUR = {
    "0 state: 17 entries, real dictionaries, set past __setattr__": """
        a_new_module_has_exactly_the_17_state_entries registries_are_plain_dicts_and_hook_registries_are_ordered_dicts
        direct_writes_into_the_registries_are_seen_everywhere constructing_sets_no_registry_through_setattr
        class_attributes_have_their_defaults a_registry_of_another_class_of_dictionary_works
        live state_of_a_new_module""",
    "1 methods, global functions, registries looked up at each call": """
        a_rebound_global_registry_is_respected devices_that_are_not_there_raise
        consume_prefix_strips_keys_and_metadata
        live prefixes_taken_off""",
    "2 construction": """
        unexpected_keyword_names_the_subclass positional_arguments_are_counted
        call_super_init_reaches_a_mixin_behind_module live construction_with_arguments""",
    "2 before init": """
        registered_kinds_cannot_be_assigned_before_init plain_values_can_be_assigned_before_init
        deleting_before_init_names_the_missing_registry calling_before_init_names_the_missing_registry
        live assignment_before_init""",
    "2 order of assignment, positions, None, class attributes": """
        only_none_or_a_parameter_replaces_a_parameter only_none_or_a_module_replaces_a_module
        only_none_or_a_tensor_replaces_a_buffer overwriting_keeps_the_position_and_deleting_loses_it
        a_parameter_or_module_takes_the_place_of_a_plain_attribute a_buffer_does_not_take_the_place_of_a_plain_attribute
        a_parameter_cannot_have_the_name_of_a_class_attribute a_module_under_a_class_attribute_is_stored_but_hidden
        setattr_of_a_module_accepts_dots_while_a_parameter_does_not
        a_reserved_parameter_refuses_a_tensor_and_a_reserved_buffer_takes_it
        plain_tensors_and_lists_of_modules_are_not_registered a_stand_in_for_a_module_is_registered
        live every_value_assigned_over_every_kind every_kind_deleted_and_assigned_again a_class_attribute_in_the_way""",
    "2 reading, deleting, dir, own forward": """
        an_unknown_attribute_is_named an_attribute_error_inside_a_property_names_its_cause
        the_same_parameter_object_is_returned_each_time deleting_a_buffer_forgets_that_it_was_not_persistent
        a_deleted_parameter_name_becomes_a_plain_attribute an_instance_forward_is_used_and_an_instance_call_is_not
        dir_lists_parameters_modules_and_buffers_sorted_and_without_digits""",
    "3 registration": """
        register_buffer_checks_in_order register_buffer_takes_anything_with_torch_function add_module_checks_in_order
        register_parameter_checks_in_order registering_again_overwrites_and_toggles_persistence
        global_registration_hooks_see_and_replace_what_is_registered
        an_overridden_register_buffer_without_persistent_still_works
        live registration_of_everything_under_every_name registration_hooks""",
    "3 paths": """
        get_submodule_follows_the_path get_parameter_and_get_buffer_tell_the_kinds_apart
        set_submodule_replaces_a_child_or_adds_one set_submodule_refuses_what_does_not_fit
        live access_by_path submodules_set_by_path""",
    "4 iteration": """
        named_modules_goes_parents_first_and_names_a_shared_module_once
        named_modules_lists_every_path_without_removing_duplicates named_modules_takes_a_prefix_and_a_memo
        named_modules_ends_in_a_cycle a_module_that_contains_itself_ends_in_a_recursion_error
        named_modules_calls_the_childs_own_method children_come_once_and_none_is_left_out
        parameters_are_given_once_under_their_first_name named_buffers_lists_persistent_and_other_buffers
        changing_children_while_walking_raises apply_visits_children_first_and_a_shared_module_once_per_parent
        live walks application_order a_walk_over_a_changing_module a_cycle_ends_in_recursion_error""",
    "5 order, snapshots, prepend": """
        hooks_run_in_order_global_first a_hook_may_remove_itself_and_others_while_running
        a_pre_hook_may_remove_itself_while_running a_hook_registered_in_a_forward_hook_runs_from_the_next_call
        a_forward_hook_registered_in_forward_runs_in_the_same_call_if_a_hook_was_there
        prepended_hooks_run_last_in_first_out a_hook_that_replaces_a_registry_while_it_runs_is_harmless
        live forward_hooks_of_all_kinds hooks_that_change_the_registries""",
    "5 what hooks return": """
        what_a_pre_hook_returns_replaces_the_arguments a_pre_hook_with_kwargs_sees_and_replaces_both
        a_pre_hook_with_kwargs_may_edit_the_dict_in_place a_pre_hook_with_kwargs_must_return_a_pair
        what_a_forward_hook_returns_replaces_the_output a_forward_hook_with_kwargs_gets_them_before_the_output
        removing_a_handle_clears_the_flag_registries live what_pre_hooks_may_return""",
    "5 always_call": """
        always_call_hooks_run_once_when_forward_raises always_call_hooks_run_when_a_pre_hook_raises
        an_always_call_hook_that_failed_itself_is_not_run_again exceptions_of_always_call_hooks_become_warnings
        always_call_hooks_do_not_run_for_keyboard_interrupt live hooks_that_raise""",
    "5 BUG global hooks with kwargs and flags": """
        a_global_always_call_hook_with_kwargs_gets_them_when_forward_raises removing_a_global_hook_clears_its_flags
        global_hooks_with_kwargs_get_them""",
    "5 no forward, compiled call, forward called directly": """
        a_module_without_forward_says_so a_compiled_call_takes_over_and_is_not_copied
        hooks_do_not_run_when_forward_is_called_directly compiling_a_module_changes_nothing
        overridden_steps_of_a_call_are_honoured live calls_without_forward""",
    "6 firing rules": """
        a_full_hook_sees_the_gradients_of_inputs_and_outputs each_call_of_a_shared_module_fires_with_its_own_share
        requires_grad_does_not_spread_over_the_inputs hooks_do_not_build_nodes_under_no_grad
        without_a_gradient_at_the_inputs_the_hook_fires_at_the_outputs_and_warns
        without_a_gradient_at_the_inputs_the_hook_must_return_none
        a_hook_never_fires_if_no_output_requires_gradient tensors_among_keyword_arguments_are_not_counted
        gradients_of_parameters_alone_do_not_fire_the_hook live gradients_of_parameters_alone_do_not_fire_the_hook""",
    "6 shapes and returns": """
        grad_input_has_one_entry_per_positional_argument an_unused_output_gives_none
        hooks_do_not_turn_missing_gradients_of_the_inputs_into_zeros
        what_a_hook_returns_replaces_the_input_gradient_only returning_none_for_an_input_drops_its_gradient
        a_hook_that_returns_another_number_of_gradients_is_refused pre_hooks_change_what_flows_into_the_module
        a_pre_hook_that_returns_another_number_of_gradients_is_refused a_bare_tensor_stands_for_a_tuple_of_one
        prepended_backward_hooks_run_first live what_backward_hooks_may_return""",
    "6 captured at forward, per call, twice": """
        the_list_of_hooks_is_fixed_at_forward hooks_fire_again_in_a_second_backward_of_a_kept_graph
        gradients_in_hooks_can_be_differentiated_again
        a_graph_keeps_the_module_of_its_hooks_and_frees_it_with_itself""",
    "6 in place beside hooks, strict_hooks": """
        an_in_place_relu_with_hooks_works_and_its_hook_sees_its_share
        an_in_place_relu_after_a_module_with_hooks_works
        a_network_of_in_place_operations_is_the_same_with_hooks_as_without
        a_write_to_the_argument_after_the_call_is_seen_by_what_the_module_kept
        an_alias_is_no_view_and_shares_storage_and_version
        a_view_that_passes_a_module_with_hooks_may_be_written_there_and_the_hook_fires
        leaves_are_protected_inside_a_module_with_hooks a_saved_tensor_that_is_written_through_an_alias_is_noticed
        second_derivatives_go_through_in_place_operations_beside_hooks strict_hooks_brings_pytorchs_refusal_back""",
    "6 kinds of outputs": """
        a_named_tuple_output_stays_one other_outputs_warn_that_the_hook_will_not_fire
        nested_hooks_see_the_gradients_in_the_structure_of_the_output
        nested_pre_hooks_replace_the_gradients_of_a_structure plain_hooks_beside_nested_ones_keep_their_rules
        live outputs_that_full_hooks_do_not_take""",
    "6 old-style hooks, mixing": """
        an_old_hook_sees_the_last_operation an_old_hook_takes_the_first_tensor_of_a_dict
        an_old_hook_may_write_into_the_gradients old_hooks_warn_about_what_they_miss
        old_and_full_hooks_do_not_mix_on_a_module old_and_full_global_hooks_do_not_mix
        the_kind_is_forgotten_with_the_last_hook live mixed_backward_hooks old_backward_hooks_warn""",
    "6 checkpoints": "hooks_can_tell_that_a_checkpoint_computes_again",
    "7 handles and copies of hooks": """
        ids_are_unique_over_all_kinds_of_hooks removing_twice_or_after_the_module_died_is_harmless
        a_handle_is_a_context_manager a_handle_pickles_with_its_registries_and_moves_the_counter
        a_copied_module_has_its_own_hooks a_bound_method_hook_is_bound_to_the_copy
        a_module_with_hooks_pickles_if_the_hooks_do live handles hooks_in_copies""",
    "8 state_dict": """
        keys_come_as_parameters_buffers_extra_state_children metadata_has_an_entry_for_every_module
        a_plain_dict_as_destination_gets_no_metadata a_prefix_without_its_dot_is_taken_as_it_is
        tied_parameters_appear_under_every_name values_are_detached_and_share_memory
        keep_vars_puts_in_the_parameters_themselves metadata_survives_copies_and_pickles
        positional_arguments_still_work_and_warn overridden_state_dicts_anywhere_in_the_tree_are_called
        names_beyond_ascii_save_and_load live state_dict_layout state_dict_with_positional_arguments""",
    "8 hooks and extra state": """
        pre_hooks_run_per_module_before_its_part_is_saved the_private_post_hook_replaces_the_roots_result
        the_public_post_hook_edits_in_place_and_returns_none a_public_post_hook_cannot_be_registered_privately_too
        a_bound_method_can_be_a_public_post_hook extra_state_must_be_overridden_to_be_asked
        live hooks_around_state_dicts post_hooks_that_return_something extra_state_of_every_sort""",
    "9 strictness and texts": """
        only_mappings_load missing_unexpected_and_mismatched_keys_are_listed_in_order not_strict_returns_the_keys
        another_shape_raises_even_if_not_strict what_is_no_tensor_is_reported other_errors_are_reported_with_the_shapes
        keys_under_unknown_or_empty_names_are_unexpected a_vector_of_one_loads_into_a_scalar_and_not_the_reverse
        loading_casts_to_the_modules_dtype loading_between_forward_and_backward_is_noticed
        copying_into_a_meta_parameter_warns live loading_of_every_sort loading_what_is_no_mapping results_of_loading""",
    "9 assign": """
        assign_takes_the_tensors_themselves_as_parameters
        assign_takes_buffers_as_they_are_and_keeps_their_persistence
        assign_leaves_the_callers_metadata_alone an_assign_flag_left_in_a_file_is_ignored""",
    "9 children, hooks, versions, own methods": """
        a_child_sees_only_its_own_keys a_parents_pre_hook_may_rename_keys_for_its_children
        extra_state_may_be_missing_or_unexpected local_metadata_is_what_was_saved_for_the_module
        old_batchnorm_files_get_their_count pre_hooks_get_the_module_if_asked
        a_pre_hook_follows_its_module_into_copies_and_pickles a_pre_hook_of_a_dead_module_says_so
        post_hooks_see_the_global_lists_after_the_children a_post_hook_may_clear_or_add_what_strict_judges
        a_post_hook_that_returns_something_is_refused loading_leaves_no_reference_cycle
        overridden_save_and_load_concern_their_own_level overridden_loading_anywhere_in_the_tree_is_called""",
    "9 more than PyTorch: skip, atomic": """
        skipped_mismatches_are_reported_and_strictness_stays
        on_mismatch_skip_leaves_parameters_of_another_shape_as_they_are a_failed_atomic_load_has_written_nothing
        an_atomic_load_undoes_everything_when_a_hook_raises_midway a_load_that_is_not_atomic_keeps_what_was_written""",
    "10 conversion": """
        casting_touches_floating_tensors_only type_casts_everything conversion_keeps_identity_ties_and_gradients
        buffers_are_replaced_and_keep_their_persistence views_taken_before_keep_the_old_memory
        apply_visits_children_through_their_own_method to_reads_its_arguments to_refuses_what_it_cannot_do
        leaving_meta_needs_to_empty to_empty_may_stay_at_its_own_level cpu_and_share_memory_return_the_module
        channels_last_strides_are_kept_by_conversion_copy_and_loading
        swapped_tensors_exchange_values_classes_attributes_and_gradients tensors_that_others_hold_are_not_swapped
        a_graph_through_a_swapped_leaf_refuses_to_run swapping_conversion_keeps_the_objects
        swapping_load_asks_module_load_and_keeps_the_objects a_module_load_that_returns_its_argument_is_named
        overwriting_conversion_makes_new_parameters
        live conversions conversion_keeps_identities meta_modules memory_formats""",
    "10 every layer: factories, contexts, copies, strides, gradients": """
        layer_is_built_in_the_dtype_and_on_the_device_asked_for layer_is_built_on_the_device_of_the_context
        layer_gives_the_same_for_strided_inputs layer_copies_pickles_and_tells_its_settings
        layer_has_the_gradients_that_differences_give""",
    "11 modes, gradients, texts, copies": """
        train_and_eval_go_down_the_tree_and_return_the_module train_takes_only_a_bool overriding_train_covers_eval
        requires_grad_touches_parameters_only requires_grad_refuses_integer_parameters
        zero_grad_drops_or_zeroes_gradients zero_grad_detaches_a_gradient_with_a_graph repr_shows_children_indented
        repr_with_extra_text module_list_folds_equal_texts copy_shares_the_registries
        deepcopy_keeps_ties_and_drops_gradients deepcopy_refuses_results_of_computations
        deepcopy_honours_what_a_class_overrides old_pickles_get_the_registries_they_lack
        live training_modes zeroed_gradients texts_of_modules copies_and_pickles
        deepcopy_honours_what_a_class_overrides deepcopy_keeps_what_is_shared_shared""",
    "12 parameters, buffers, lazy modules": """
        a_parameter_shares_memory_and_requires_grad_even_under_no_grad integers_cannot_require_gradients
        results_of_operations_are_plain_tensors a_parameter_shows_what_it_is a_marked_tensor_counts_as_a_parameter
        a_buffer_is_a_marked_tensor a_lazy_parameter_has_no_shape_and_refuses_operations
        a_lazy_module_becomes_a_plain_one_at_its_first_call every_lazy_class_takes_its_channels_from_the_input
        a_lazy_module_saves_uninitialised_tensors_and_loads_initialised_ones
        an_uninitialised_state_does_not_load_into_an_initialised_module
        live parameters_and_buffers lazy_modules""",
    "13 containers": """
        sequential_items_can_be_set_and_deleted sequentials_can_be_added_and_repeated
        sequential_grows_by_append_extend_and_insert module_list_behaves_like_a_list module_dict_behaves_like_a_dict
        module_dict_update_names_what_it_cannot_take parameter_dict_behaves_like_a_dict
        parameter_list_turns_tensors_into_parameters_and_keeps_other_objects
        live sequential_containers list_containers dict_containers parameter_lists parameter_dicts""",
    "14 notes on exceptions": """
        a_note_gives_the_dotted_path_and_shapes_from_the_outermost_module a_note_is_written_when_a_hook_raises
        an_exception_class_without_room_for_notes_passes what_is_no_exception_gets_no_note""",
}


def names_in(pattern: str, files: list[Path]) -> set[str]:
    return {name for file in files for name in re.findall(pattern, file.read_text(), flags=re.MULTILINE)}


TESTS = names_in(r"^def test_(\w+)\(", [*HERE.glob("test_module_*.py"), *HERE.glob("test_layers*.py")])
PROGRAMS = names_in(r"^@program\ndef (\w+)\(", [HERE / "parity/test_module_behaviour_live.py"])


@pytest.mark.parametrize("behaviour", BEHAVIOUR)
def test_every_behaviour_of_the_checklist_has_the_tests_it_names(behaviour: str) -> None:
    own, _, live = BEHAVIOUR[behaviour].partition(" live ")
    assert own.split() and set(own.split()) - TESTS == set()
    assert set(live.split()) - PROGRAMS == set()
