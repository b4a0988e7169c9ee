/** Keys of a transformers config.json that every model has, of version 4 or 5, and that say nothing of what an encoder computes. */
import * as z from "zod";
import { unread } from "../published/network.ts";

/**
 * Fields of a zod object, for configs of transformers; a model's own fields go after them. `quantization_config` is missing on
 * purpose: such weights are of another kind.
 */
export const transformersKeys = {
  // What the file is
  architectures: unread,
  model_type: unread,
  name_or_path: unread,
  transformers_version: unread,
  dtype: unread, // weights become float32 whatever they were
  torch_dtype: unread,
  // Of training
  gradient_checkpointing: unread,
  initializer_factor: unread,
  initializer_range: unread,
  // How the library answers
  chunk_size_feed_forward: unread,
  output_attentions: unread,
  output_hidden_states: unread,
  return_dict: unread,
  tf_legacy_loss: unread,
  torchscript: unread,
  use_bfloat16: unread, // of TensorFlow
  use_cache: unread, // of decoders
  // Tokens that no encoder looks for
  bos_token_id: unread,
  decoder_start_token_id: unread,
  pad_token_id: unread,
  sep_token_id: unread,
  prefix: unread,
  tokenizer_class: unread,
  // Heads and tasks
  finetuning_task: unread,
  id2label: unread,
  label2id: unread,
  num_labels: unread,
  problem_type: unread,
  task_specific_params: unread,
  // Decoders
  cross_attention_hidden_size: unread,
  is_encoder_decoder: unread,
  tie_encoder_decoder: unread,
  tie_word_embeddings: unread,
  // Writing text
  bad_words_ids: unread,
  begin_suppress_tokens: unread,
  diversity_penalty: unread,
  do_sample: unread,
  early_stopping: unread,
  encoder_no_repeat_ngram_size: unread,
  exponential_decay_length_penalty: unread,
  forced_bos_token_id: unread,
  forced_eos_token_id: unread,
  length_penalty: unread,
  max_length: unread,
  min_length: unread,
  no_repeat_ngram_size: unread,
  num_beam_groups: unread,
  num_beams: unread,
  num_return_sequences: unread,
  output_scores: unread,
  remove_invalid_values: unread,
  repetition_penalty: unread,
  return_dict_in_generate: unread,
  suppress_tokens: unread,
  temperature: unread,
  top_k: unread,
  top_p: unread,
  typical_p: unread,
  // What would make it another network
  add_cross_attention: z.literal(false).optional(),
  is_decoder: z.literal(false).optional(),
  pruned_heads: z.strictObject({}).optional(),
} as const;
